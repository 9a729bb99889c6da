"""Processes of this machine: each opens the job for itself, and an item that crashes its process fails alone."""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic

import cv2

from mammoscope.errors import MammoscopeError, place_of
from mammoscope.execution.backend import Crashed
from mammoscope.execution.job import Item, Job, Result
from mammoscope.processes.cores import usable_cores
from mammoscope.processes.spawned import Spawned


@dataclass(frozen=True)
class _Ready:
    """Sent by a process that has opened the job."""


@dataclass(frozen=True)
class _Done(Generic[Result]):
    result: Result


@dataclass(frozen=True)
class _Failed:
    """Opening the job, or the job, raised this."""

    error: Exception


@dataclass(frozen=True)
class _Died:
    """Noted for a process that has died."""

    reason: str


@dataclass(frozen=True)
class Processes:
    """A backend of processes; see ``Backend``.

    They are started afresh (spawn), share the cores, and end with this process, however it ends. An item whose process
    died gets a second try while no other is under way: the machine may have been short of memory.
    """

    workers: int

    def run(self, job: Job[Item, Result], items: Iterable[Item]) -> Generator[tuple[Item, Result | Crashed]]:
        """See ``Backend``. Closing the generator waits for the items that are under way, but not for long."""
        crew = _Crew(job, self.workers)
        waiting = iter(items)
        suspects: deque[Item] = deque()
        try:
            crew.give_out(waiting, suspects)
            while crew.busy:
                for worker in crew.wait():
                    outcome = _outcome(worker, crew, suspects)
                    crew.give_out(waiting, suspects)
                    if outcome is not None:
                        yield outcome
                    del outcome  # it may be large, and the next may take long
        finally:
            crew.end()


def _outcome(
    worker: _Worker[Item, Result], crew: _Crew[Item, Result], suspects: deque[Item]
) -> tuple[Item, Result | Crashed] | None:
    """What a worker that speaks, or has died, says of its item; None: nothing yet."""
    answer = worker.answer()
    if isinstance(answer, _Failed):
        raise answer.error
    if isinstance(answer, _Ready):
        worker.is_ready = True
        return None
    if isinstance(answer, _Done):
        return worker.take_item(), answer.result
    crew.workers.remove(worker)
    if not worker.is_ready:
        raise MammoscopeError(f"a worker process ended as it started ({answer.reason})")
    item = worker.take_item()
    if worker.is_second_try:
        return item, Crashed(answer.reason)
    suspects.append(item)
    return None


class _Worker(Generic[Item, Result]):
    """One process.

    Attributes
    ----------
    items
        The item that it works on, or none.
    is_ready
        Whether it has opened the job: no item is to blame if it dies before.
    is_second_try
        Whether its item has crashed another process.
    """

    def __init__(self, job: Job[Item, Result], threads: int) -> None:
        self.process = Spawned(_serve, job, threads)
        self.items: tuple[Item, ...] = ()
        self.is_ready = False
        self.is_second_try = False

    def give(self, item: Item) -> bool:
        """Send an item; False if the process has died while it had nothing to do."""
        try:
            self.process.connection.send(item)
        except OSError:
            return False
        self.items = (item,)
        return True

    def take_item(self) -> Item:
        """What it was working on, which is done with."""
        (item,), self.items = self.items, ()
        return item

    def answer(self) -> _Ready | _Done[Result] | _Failed | _Died:
        try:
            answer: _Ready | _Done[Result] | _Failed = self.process.connection.recv()
        except (EOFError, OSError):
            return _Died(self.process.how_it_ended())
        return answer


class _Crew(Generic[Item, Result]):
    """The processes of a run; started when there is something to do for them."""

    def __init__(self, job: Job[Item, Result], size: int) -> None:
        self._job, self._size = job, size
        self.workers: list[_Worker[Item, Result]] = []

    @property
    def busy(self) -> list[_Worker[Item, Result]]:
        return [worker for worker in self.workers if worker.items]

    def wait(self) -> list[_Worker[Item, Result]]:
        """Those that have sent an answer, or have died."""
        speaking = wait([worker.process.connection for worker in self.busy])
        return [worker for worker in self.busy if worker.process.connection in speaking]

    def give_out(self, waiting: Iterable[Item], suspects: deque[Item]) -> None:
        """Give items to all idle workers; a suspect is tried when all are idle."""
        busy = len(self.busy)
        if suspects and not busy:
            self._give(suspects.popleft(), is_second_try=True)
        elif not suspects and not any(worker.is_second_try for worker in self.busy):
            for _, item in zip(range(self._size - busy), waiting, strict=False):
                self._give(item, is_second_try=False)

    def _give(self, item: Item, *, is_second_try: bool) -> None:
        for worker in [worker for worker in self.workers if not worker.items]:
            if worker.give(item):
                worker.is_second_try = is_second_try
                return
            self.workers.remove(worker)
            worker.process.end()
        worker = _Worker(self._job, max(1, usable_cores() // self._size))
        self.workers.append(worker)
        worker.is_second_try = is_second_try
        if not worker.give(item):
            raise MammoscopeError(f"a worker process ended as it started ({worker.process.how_it_ended()})")

    def end(self) -> None:
        for worker in self.workers:
            worker.process.stop()
        for worker in self.workers:
            worker.process.end()


def _serve(connection: Connection[Any, Any], job: Job[Any, Any], threads: int) -> None:
    """The main function of a process: open the job, then work on items until the connection is closed."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    cv2.setNumThreads(threads)
    try:
        with job.open() as work:
            connection.send(_Ready())
            while True:
                try:
                    item = connection.recv()
                except EOFError:
                    return
                _reply(connection, work, item)
                del item
    except Exception as error:
        with suppress(OSError):
            connection.send(_Failed(sendable(error)))


def _reply(connection: Connection[Any, Any], work: Callable[[Any], Any], item: Any) -> None:
    done = _Done(work(item))
    with suppress(BrokenPipeError, ConnectionResetError):  # nobody waits for it any more
        connection.send(done)


def sendable(error: Exception) -> Exception:
    """The error itself if it can be pickled, else one that names its class and place."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (what this very process has pickled)
    except Exception:
        return RuntimeError(place_of(error))
    return error
