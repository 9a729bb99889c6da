"""Ray: workers on the machines of a cluster. An item whose worker died is tried again by another.

The cluster is the one of the variable ``RAY_ADDRESS``; without it, Ray is started on this machine for the run.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import chain, islice
from typing import Any, Generic

import cv2

from mammoscope.errors import MammoscopeError
from mammoscope.execution.backend import Crashed
from mammoscope.execution.job import Item, Job, Result
from mammoscope.execution.processes import sendable

TRIES = 5  # of an item: machines of a cluster come and go, and take what they work on with them
_STARTS = 5  # of workers that end before they have opened the job, one after another, where none has opened it yet
_LATER_STARTS = 50  # the same, once one has: the job can be opened, so their machines end
_GRACE_SECONDS = 30.0
_STORE_BYTES = 128 << 20  # items and results are small; by default Ray takes a third of the memory


@dataclass(frozen=True)
class _Failed:
    """Opening the job, or the job, raised this."""

    error: Exception


@dataclass(frozen=True)
class _Done(Generic[Result]):
    result: Result


@dataclass
class _Task(Generic[Item]):
    """An item that is under way, and how often it was tried in vain."""

    item: Item
    deaths: int = 0


@dataclass(frozen=True)
class Ray:
    """A backend of Ray actors, each of one core; see ``Backend``.

    A worker that dies, with or without its machine, is replaced, and its item tried again, ``TRIES`` times in all. More
    workers than the cluster has cores wait for cores, and hold no item.

    Raises
    ------
    MammoscopeError
        Ray is not installed.
    """

    workers: int

    def __post_init__(self) -> None:
        if find_spec("ray") is None:
            raise MammoscopeError("ray is not installed: this needs mammoscope's extra 'ray'")

    def run(self, job: Job[Item, Result], items: Iterable[Item]) -> Generator[tuple[Item, Result | Crashed]]:
        """See ``Backend``. Closing the generator waits for the items that are under way, but not for long."""
        waiting = iter(items)
        first = list(islice(waiting, 1))
        if not first:  # starting Ray takes seconds
            return
        is_ours = _connect(self.workers)
        crew = _Crew(job, self.workers, chain(first, waiting))
        try:
            while crew.give_out():
                outcomes = crew.answers()
                crew.give_out()
                yield from outcomes
                del outcomes  # they may be large, and the next may take long
        finally:
            crew.end()
            if is_ours:
                import ray  # noqa: PLC0415 (an extra)

                ray.shutdown()


def _connect(workers: int) -> bool:
    """Connect to a cluster; whether this call has done so."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # what Ray would send to its makers
    import ray  # noqa: PLC0415 (an extra)

    if ray.is_initialized():
        return False
    address = os.environ.get("RAY_ADDRESS")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init("local", num_cpus=workers, include_dashboard=False, object_store_memory=_STORE_BYTES, **quiet)
    except Exception as error:
        where = f"no Ray cluster answers at {address}" if address else "Ray cannot be started"
        raise MammoscopeError(f"{where} ({type(error).__name__}: {' '.join(str(error).split())[:200]})") from None
    cluster: Any = ray
    if not cluster.cluster_resources().get("CPU"):
        raise MammoscopeError("the Ray cluster has no core, it needs at least one")
    return True


class _Worker(Generic[Item, Result]):
    """What runs in an actor."""

    def __init__(self, job: Job[Item, Result]) -> None:
        self._job = job
        self._opened = ExitStack()
        self._work: Callable[[Item], Result]

    def open(self) -> _Failed | None:
        cv2.setNumThreads(1)
        try:
            self._work = self._opened.enter_context(self._job.open())
        except Exception as error:
            return _Failed(sendable(error))
        return None

    def work(self, item: Item) -> _Done[Result] | _Failed:
        try:
            return _Done(self._work(item))
        except Exception as error:
            return _Failed(sendable(error))

    def close(self) -> None:
        self._opened.close()


@dataclass
class _Crew(Generic[Item, Result]):
    """The actors of a run; started when there is something to do for them.

    Attributes
    ----------
    opening, busy
        What an actor will answer, with the actor: one that opens the job, or works on an item.
    idle
        Those that have opened the job and have no item.
    hand
        Items that were taken, and wait for an actor: never more than there may be actors.
    """

    job: Job[Item, Result]
    size: int
    items: Iterable[Item]
    opening: dict[Any, Any] = field(default_factory=dict)
    busy: dict[Any, tuple[Any, _Task[Item]]] = field(default_factory=dict)
    idle: list[Any] = field(default_factory=list)
    hand: deque[_Task[Item]] = field(default_factory=deque)
    _starts: int = 0
    _most_starts: int = _STARTS

    def __post_init__(self) -> None:
        import ray  # noqa: PLC0415 (an extra)

        self._ray = ray
        self._waiting = iter(self.items)
        self._actor: Any = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        self._job = ray.put(self.job)

    def give_out(self) -> bool:
        """Take items, start actors and give them the items; whether any is under way or waits."""
        free = self.size - len(self.busy) - len(self.hand)
        self.hand += [_Task(item) for _, item in zip(range(free), self._waiting, strict=False)]
        for _ in range(len(self.hand) - len(self.idle) - len(self.opening)):
            actor = self._actor.remote(self._job)
            self.opening[actor.open.remote()] = actor
        while self.hand and self.idle:
            actor, task = self.idle.pop(), self.hand.popleft()
            self.busy[actor.work.remote(task.item)] = (actor, task)
        return bool(self.busy or self.hand)

    def answers(self) -> list[tuple[Item, Result | Crashed]]:
        """Wait for an actor's answer, and say what has become of its item; empty if nothing yet."""
        (reference,), _ = self._ray.wait([*self.busy, *self.opening], num_returns=1)
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # such as a result that cannot be pickled
            raise RuntimeError(f"a worker's answer cannot be sent ({type(error.cause).__name__})") from None
        except self._ray.exceptions.RayError:  # the worker, its machine or the answer is gone
            return self._lost(reference)
        if isinstance(answer, _Failed):
            raise answer.error
        if reference in self.opening:
            self._starts, self._most_starts = 0, _LATER_STARTS
            self.idle.append(self.opening.pop(reference))
            return []
        actor, task = self.busy.pop(reference)
        self.idle.append(actor)
        return [(task.item, answer.result)]

    def _lost(self, reference: Any) -> list[tuple[Item, Result | Crashed]]:
        if reference in self.opening:
            self._dismiss(self.opening.pop(reference))
            self._starts += 1
            if self._starts == self._most_starts:
                raise MammoscopeError(f"a worker ended as it started, {self._starts} times in a row")
            return []
        actor, task = self.busy.pop(reference)
        self._dismiss(actor)
        task.deaths += 1
        if task.deaths == TRIES:
            return [(task.item, Crashed(f"at each of {TRIES} tries"))]
        self.hand.append(task)
        return []

    def _dismiss(self, actor: Any) -> None:
        with suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(actor)

    def end(self) -> None:
        for actor in self.opening.values():
            self._dismiss(actor)
        opened = [*self.idle, *(actor for actor, _ in self.busy.values())]
        with suppress(self._ray.exceptions.RayError):
            closed = [actor.close.remote() for actor in opened]
            if closed:
                self._ray.wait(closed, num_returns=len(closed), timeout=_GRACE_SECONDS)
        for actor in opened:
            self._dismiss(actor)
