"""Where Dask lives: the same tasks on local threads or on a cluster, with progress.

Tasks are independent, write their pixels themselves and return small tables, so what is in flight
is bounded by the number of workers, never by the length of the recording.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pitflow.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Progress(Protocol):
    """Shows how far a stage is; ``advance`` may be called from any thread."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of ``total`` steps."""
        ...

    def advance(self, steps: int = 1) -> None:
        """Count steps as done."""
        ...

    def finish(self, message: str = "") -> None:
        """End the stage."""
        ...


class Silent:
    """Progress that shows nothing."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage."""

    def advance(self, steps: int = 1) -> None:
        """Count steps as done."""

    def finish(self, message: str = "") -> None:
        """End the stage."""


@dataclass(frozen=True)
class Compute:
    """How tasks are executed; it never changes what they compute.

    Parameters
    ----------
    workers:
        Tasks at a time. The default is one per core.
    cluster:
        Address of a Dask scheduler, such as "tcp://host:8786"; None: threads of this process. The
        workers of a cluster must see the same file system.
    """

    workers: int = os.cpu_count() or 1
    cluster: str | None = None

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        done: Callable[[Item, Result], None],
    ) -> None:
        """Run ``function`` on every item; call ``done`` in this process as each one ends.

        The first exception of a task is raised here; no further task is begun. On threads the tasks
        in flight have ended by then; what runs on a cluster then is not waited for.

        Raises
        ------
        UserError
            If the cluster cannot be reached.
        """
        if self.cluster is not None:
            self._map_on_cluster(function, items, done)
        else:
            self._map_on_threads(function, items, done)

    def _map_on_threads(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        done: Callable[[Item, Result], None],
    ) -> None:
        import dask
        from dask.delayed import delayed

        def task(item: Item) -> None:
            done(item, function(item))

        with single_threaded_opencv():
            if self.workers == 1:
                # In the order given: what is stopped half-way has the first ones done.
                for item in items:
                    task(item)
            else:
                tasks = [delayed(task, pure=False)(item) for item in items]
                # Dask itself would leave behind what is in flight when a task fails.
                with ThreadPoolExecutor(self.workers) as pool:
                    dask.compute(*tasks, scheduler="threads", pool=pool)
        return_freed_memory()

    def _map_on_cluster(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        done: Callable[[Item, Result], None],
    ) -> None:
        try:
            from distributed import Client, as_completed
        except ImportError as error:
            raise UserError(
                "a cluster needs dask.distributed",
                where="--cluster",
                hint="pip install 'pitflow[cluster]'",
            ) from error
        try:
            client: Any = Client(self.cluster, timeout="20s")
        except (OSError, TimeoutError, ValueError) as error:
            raise UserError(
                f"no Dask scheduler answers ({error})",
                where=f"--cluster {self.cluster}",
                hint="start one with `dask scheduler`, or leave --cluster out",
            ) from error
        with client:
            # Once to each worker: it may hold images of the whole scene.
            sent = client.scatter(function, broadcast=True)
            futures = {client.submit(_called, sent, item, pure=False): item for item in items}
            for future in as_completed(list(futures)):
                # What a task returned is held no longer than it takes to keep it.
                done(futures.pop(future), future.result())


def _called(function: Callable[[Item], Result], item: Item) -> Result:
    return function(item)


def keep_freed_memory() -> None:
    """Let the C library reuse the memory of large images instead of returning it each time.

    Frames of 5 megapixels make temporaries of 20 MB. By default glibc hands each back to the
    system and faults it in again page by page, a sixth of a run's CPU time; with one arena and
    high thresholds it is reused, and less is held in all. Affects the whole process, so programs
    call it, not libraries. Does nothing where the C library is another one.
    """
    trim_threshold, mmap_threshold, arena_max = -1, -3, -8
    for parameter, value in (
        (mmap_threshold, 256 << 20),
        (trim_threshold, 2**31 - 1),
        (arena_max, 1),
    ):
        _call_glibc("mallopt", parameter, value)


def return_freed_memory() -> None:
    """Return to the system what is kept for reuse; does nothing without glibc.

    Called when the images are done, so that the tables do not come on top of memory kept for them.
    """
    _call_glibc("malloc_trim", 0)


def _call_glibc(function: str, *arguments: int) -> None:
    import ctypes

    try:
        getattr(ctypes.CDLL(None), function)(*arguments)
    except (OSError, AttributeError):
        return


def single_threaded_opencv() -> AbstractContextManager[None]:
    """Keep OpenCV to one thread per task, since the tasks already fill the cores."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)

    class Restore(nullcontext[None]):
        def __exit__(self, *_: object) -> None:
            cv2.setNumThreads(before)

    return Restore()
