"""Run a function over many tasks in several processes; a task that kills its process costs only itself."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from typing import TypeVar

import cv2

Task = TypeVar("Task")
Result = TypeVar("Result")

_QUEUED_PER_WORKER = 2


def run_in_processes(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[tuple[Task, Result | None]]:
    """Yield each task with its result, in the order in which they are done.

    The processes are started afresh (spawn), so ``function``, the tasks and the results must be picklable. They end
    when this process ends, however it ends.

    Yields
    ------
    tuple
        The task, and its result; None where the process died twice while it worked on it.
    """
    waiting = deque(tasks)
    suspects: list[Task] = []
    while waiting:
        with _pool(workers) as pool:
            try:
                yield from _run(pool, function, waiting, suspects, workers)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    # One of those that were at work when a process died is to blame; alone, it tells.
    while suspects:
        with _pool(1) as pool:
            yield from _run_alone(pool, function, suspects)


def _run(
    pool: ProcessPoolExecutor,
    function: Callable[[Task], Result],
    waiting: deque[Task],
    suspects: list[Task],
    workers: int,
) -> Iterator[tuple[Task, Result]]:
    """Work until nothing waits, or until the pool breaks; then those at work become suspects."""
    running: dict[Future[Result], Task] = {}
    is_broken = False
    while running or (waiting and not is_broken):
        while waiting and not is_broken and len(running) < _QUEUED_PER_WORKER * workers:
            task = waiting.popleft()
            try:
                running[pool.submit(function, task)] = task
            except BrokenProcessPool:
                waiting.appendleft(task)
                is_broken = True
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            task = running.pop(future)
            try:
                result = future.result()
            except BrokenProcessPool:
                suspects.append(task)
                is_broken = True
            else:
                yield task, result


def _run_alone(
    pool: ProcessPoolExecutor, function: Callable[[Task], Result], suspects: list[Task]
) -> Iterator[tuple[Task, Result | None]]:
    """Work on one task after the other, until none is left or one breaks the pool."""
    while suspects:
        task = suspects.pop()
        try:
            result = pool.submit(function, task).result()
        except BrokenProcessPool:
            yield task, None
            return
        yield task, result


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)


def _start_worker() -> None:
    """One thread a process, and none outlives the process that started it."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)
