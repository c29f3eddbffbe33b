"""Where Dask lives: the same tasks on local threads and processes or on a cluster, with progress.

Tasks are independent, write their pixels themselves and return small tables, so what is in flight
is bounded by the number of workers, never by the length of the recording.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pitflow.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS_PER_PROCESS = 2
"""Of tasks that spend a fifth of their time in Python itself, which is for one thread at a time. On
16 cores and a GPU, recordings were searched at 28 frames/s by threads alone, 50 with four to a
process, 61 with two, and 74 with one, which takes most memory."""
_SWITCH_S = 5e-4
"""A task waits no longer for Python itself. By default it is 5 ms, and by then another has most
often left it for work that needs none."""
_START_S = 120
"""New processes are waited for so long."""


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
        Address of a Dask scheduler, such as "tcp://host:8786"; None: this machine. The workers of a
        cluster must see the same file system.
    """

    workers: int = os.cpu_count() or 1
    cluster: str | None = None

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        done: Callable[[Item, Result], None],
        *,
        in_python: bool = False,
    ) -> None:
        """Run ``function`` on every item; call ``done`` in this process as each one ends.

        The first exception of a task is raised here; no further task is begun. On this machine the
        tasks in flight have ended by then; what runs on a cluster then is not waited for.

        Parameters
        ----------
        function, items:
            What is to be done.
        done:
            Called with an item and what came of it.
        in_python:
            Whether tasks are long and spend a good part of it in Python's own code. More than
            ``THREADS_PER_PROCESS`` workers are then shared out among processes.

        Raises
        ------
        UserError
            If the cluster cannot be reached.
        """
        self._run(function, items, done, in_python=in_python)

    def collect(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return what ``function`` gives for every item, in any order.

        Raises
        ------
        UserError
            If the cluster cannot be reached.
        """
        results: list[Result] = []
        self._run(function, items, lambda item, result: results.append(result))
        return results

    def _run(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        done: Callable[[Item, Result], None],
        *,
        in_python: bool = False,
    ) -> None:
        at_once = min(self.workers, len(items))
        if self.cluster is not None:
            with _cluster_at(self.cluster) as client:
                _map_on(client, function, items, done)
            return
        with ExitStack() as stack:
            client = None
            if in_python and at_once > THREADS_PER_PROCESS and os.name == "posix":
                # Where no process can be started or reached, threads do the same.
                with suppress(OSError, TimeoutError, RuntimeError):
                    client = stack.enter_context(_processes(at_once))
            if client is not None:
                _map_on(client, function, items, done)
                return
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

        with single_threaded_opencv(), _quick_switching():
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


def _map_on(
    client: Client,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    done: Callable[[Item, Result], None],
) -> None:
    from distributed import CancelledError, KilledWorker, as_completed

    # Once to each worker: it may hold images of the whole scene.
    sent = client.scatter(function, broadcast=True)
    futures = {client.submit(_called, sent, item, pure=False): item for item in items}
    for future in as_completed(list(futures), loop=client.loop):
        # What a task returned is held no longer than it takes to keep it.
        try:
            result = future.result()
        except (KilledWorker, CancelledError) as error:
            # The latter where what all tasks share was lost with the last process that had it.
            raise UserError(
                "a process that computed was ended again and again, for want of memory most likely",
                hint="fewer tasks at a time (--workers) need less; the same command continues",
            ) from error
        done(futures.pop(future), result)


@contextmanager
def _cluster_at(address: str) -> Iterator[Client]:
    """Give a client of the Dask scheduler at an address."""
    from distributed import Client

    try:
        client: Any = Client(address, timeout="20s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers ({error})",
            where=f"--cluster {address}",
            hint="start one with `dask scheduler`, or leave --cluster out",
        ) from error
    with client:
        yield client


@contextmanager
def _processes(workers: int) -> Iterator[Client]:
    """Give a client of new processes of this machine that have ``workers`` threads together.

    The scheduler is part of this process, so the others end with it whatever ends it. They are new
    interpreters, not copies of this one: programs need no guard of their main module.
    """
    from distributed import Client, Scheduler, SpecCluster
    from distributed.deploy.subprocess import SubprocessWorker

    counts = _shares(workers)
    # A page that shows the tasks is served in any case; nobody else is to use its usual port.
    own: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    quiet = {"silence_logs": logging.CRITICAL, "memory_limit": 0}
    plan = {
        number: {
            "cls": SubprocessWorker,
            "options": {
                "worker_class": "distributed.Nanny",
                "worker_kwargs": own | quiet | {"nthreads": count},
            },
        }
        for number, count in enumerate(counts)
    }
    scheduler = {"cls": Scheduler, "options": own | {"port": 0}}
    with (
        SpecCluster(workers=plan, scheduler=scheduler, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(len(counts), timeout=_START_S)
        first = 0
        for address, threads in client.nthreads().items():
            client.run(_prepare_process, first, workers=[address])
            first += threads
        yield client


def _shares(workers: int) -> list[int]:
    """Return how many threads each process has, as even as can be."""
    processes = -(-workers // THREADS_PER_PROCESS)
    return [(workers + number) // processes for number in range(processes)]


def _prepare_process(first_thread: int) -> None:
    """Make a new process like the one that asked for it."""
    import cv2

    global _numbers
    cv2.setNumThreads(1)
    sys.setswitchinterval(_SWITCH_S)
    keep_freed_memory()
    _numbers = itertools.count(first_thread)


_numbers = itertools.count()
_own = threading.local()


def thread_number() -> int:
    """Return a number of the calling thread: 0 of the first that asks, counted over processes."""
    if not hasattr(_own, "number"):
        _own.number = next(_numbers)
    number: int = _own.number
    return number


def _called(function: Callable[[Item], Result], item: Item) -> Result:
    return function(item)


def keep_freed_memory() -> None:
    """Let the C library reuse the memory of large images instead of returning it each time.

    Frames of 5 megapixels make temporaries of 20 MB. By default glibc hands each back to the
    system and faults it in again page by page, a sixth of a run's CPU time; with high thresholds
    it is reused. Few arenas hold less in all, but in a single one threads wait for one another.
    Affects the whole process, so programs call it, not libraries. Does nothing where the C
    library is another one.
    """
    trim_threshold, mmap_threshold, arena_max = -1, -3, -8
    for parameter, value in (
        (mmap_threshold, 256 << 20),
        (trim_threshold, 2**31 - 1),
        (arena_max, THREADS_PER_PROCESS),
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


@contextmanager
def _quick_switching() -> Iterator[None]:
    """Let threads of this process wait less for Python itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """Keep OpenCV to one thread per task, since the tasks already fill the cores."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
