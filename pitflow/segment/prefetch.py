"""Reading the next item while the present one is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items in order; a thread takes up to two of them in advance.

    An error in ``items`` is raised at the item where it occurred. The thread ends when the iterator
    is exhausted or closed.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue(2)
    closed = threading.Event()

    def offer(entry: tuple[Item | None, BaseException | None, bool]) -> bool:
        while not closed.is_set():
            try:
                waiting.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for item in items:
                if not offer((item, None, False)):
                    return
            offer((None, None, True))
        except BaseException as error:
            offer((None, error, True))

    thread = threading.Thread(target=read, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = waiting.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]
    finally:
        closed.set()
        thread.join()
