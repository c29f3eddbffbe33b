"""Tasks give the same results wherever they run."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import psutil
import pytest

from pitflow import compute
from pitflow.compute import (
    THREADS_PER_PROCESS,
    Compute,
    single_threaded_opencv,
    thread_number,
)
from pitflow.errors import UserError


def square(number: int) -> int:
    return number * number


def test_every_item_is_done_once_whatever_the_number_of_workers() -> None:
    for workers in (1, 3):
        results: dict[int, int] = {}
        Compute(workers).map(square, range(20), results.__setitem__)
        assert results == {number: number * number for number in range(20)}


def test_results_are_collected() -> None:
    assert sorted(Compute(3).collect(square, range(5))) == [0, 1, 4, 9, 16]


def test_one_worker_keeps_the_order() -> None:
    done: list[int] = []
    Compute(1).map(square, [5, 3, 8, 1], lambda item, result: done.append(item))
    assert done == [5, 3, 8, 1]


def test_no_more_tasks_run_at_once_than_there_are_workers() -> None:
    lock, both = threading.Lock(), threading.Barrier(2, timeout=10)
    running, most = 0, 0

    def task(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait()
        with lock:
            running -= 1

    Compute(2).map(task, range(6), lambda item, result: None)
    assert most == 2


def test_an_error_of_a_task_reaches_the_caller() -> None:
    def fail(number: int) -> None:
        if number == 2:
            raise UserError("frame 2 is bad")

    with pytest.raises(UserError, match="frame 2"):
        Compute(2).map(fail, range(4), lambda item, result: None)


def test_nothing_is_at_work_any_more_when_an_error_is_raised() -> None:
    first, begun = threading.Lock(), threading.Event()
    running, done = set(), []

    def task(number: int) -> None:
        if first.acquire(blocking=False):
            assert begun.wait(10)
            raise UserError("a frame is bad")
        running.add(number)
        begun.set()
        time.sleep(0.1)
        running.discard(number)

    with pytest.raises(UserError, match="a frame"):
        Compute(2).map(task, range(20), lambda item, result: done.append(item))
    assert not running
    at_the_error = list(done)
    time.sleep(0.15)
    assert done == at_the_error
    assert len(done) < 5


def test_opencv_threads_come_back() -> None:
    before = cv2.getNumThreads()
    with single_threaded_opencv():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == before


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_wait_less_for_python_and_others_as_before(workers: int) -> None:
    before = sys.getswitchinterval()
    inside = Compute(workers).collect(lambda _: sys.getswitchinterval(), [0, 1])
    assert max(inside) < before / 5
    assert sys.getswitchinterval() == before


def test_a_cluster_that_does_not_answer_is_one_clear_line() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(UserError, match="no Dask scheduler answers"):
        Compute(1, "nonsense://127.0.0.1:1").map(square, [1], lambda item, result: None)


def test_work_in_python_is_shared_out_among_processes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Where Python's lock would have them wait for one another."""

    def where_and_square(number: int) -> tuple[int, int]:
        time.sleep(0.05)
        return os.getpid(), number * number

    results: dict[int, tuple[int, int]] = {}
    Compute(6).map(where_and_square, range(12), results.__setitem__, in_python=True)
    squares = {number: square for number, (_, square) in results.items()}
    assert squares == {number: number * number for number in range(12)}
    processes = {process for process, _ in results.values()}
    assert len(processes) == 3
    assert os.getpid() not in processes
    until = time.monotonic() + 10
    while any(map(psutil.pid_exists, processes)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, processes))
    assert capfd.readouterr() == ("", "")


def test_a_process_that_is_killed_is_one_clear_line() -> None:
    def fatal(number: int) -> None:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    before = psutil.Process().children()
    with pytest.raises(UserError, match="want of memory"):
        Compute(4).map(fatal, range(6), lambda item, result: None, in_python=True)
    assert psutil.Process().children() == before


def test_where_no_process_can_be_started_threads_do_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def refused(workers: int) -> Iterator[None]:
        raise OSError("no sockets here")
        yield

    monkeypatch.setattr(compute, "_processes", refused)
    results: dict[int, int] = {}
    Compute(6).map(lambda _: os.getpid(), range(8), results.__setitem__, in_python=True)
    assert len(results) == 8
    assert set(results.values()) == {os.getpid()}


def test_few_workers_are_threads() -> None:
    results: dict[int, int] = {}
    Compute(THREADS_PER_PROCESS).map(
        lambda _: os.getpid(), range(8), results.__setitem__, in_python=True
    )
    assert set(results.values()) == {os.getpid()}


def test_an_error_in_a_process_reaches_the_caller_and_no_process_is_left(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(number: int) -> None:
        if number == 2:
            raise UserError("frame 2 is bad")

    before = psutil.Process().children()
    with pytest.raises(UserError, match="frame 2"):
        Compute(5).map(fail, range(6), lambda item, result: None, in_python=True)
    assert psutil.Process().children() == before
    assert capfd.readouterr() == ("", "")


def test_threads_of_all_processes_have_numbers_of_their_own() -> None:
    def number_of(_: int) -> int:
        time.sleep(0.02)
        return thread_number()

    results: dict[int, int] = {}
    Compute(5).map(number_of, range(60), results.__setitem__, in_python=True)
    assert set(results.values()) == {0, 1, 2, 3, 4}
