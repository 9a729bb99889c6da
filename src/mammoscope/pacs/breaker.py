"""Whether another system is to be asked now: a pause after failures of its own, ended by its first success."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition

from mammoscope.pacs.retries import pause

logger = logging.getLogger(__name__)

LONGEST_PEER_PAUSE = 30.0  # so long at most, after it has healed, until what waits is sent
_MOST_IN_A_ROW = 3  # after so many failures without a success, it is the peer and not what was asked of it
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True)
class Traffic:
    """What has gone over a service since the start of the process.

    Attributes
    ----------
    successes, failures
        Numbers.
    since_success
        Seconds since the last success; None: there was none.
    is_paused
        Whether the peer is not asked now.
    """

    successes: int
    failures: int
    since_success: float | None
    is_paused: bool


class Breaker:
    """Guards one service of another system. Several threads may use it.

    What is asked of the peer may fail because of the peer, because of what is asked, or nobody knows. If nobody knows,
    the peer is blamed when it fails several times in a row, and what was asked is blamed when the peer did something
    else well since the same failed last.

    Parameters
    ----------
    name
        What it is, for the log.
    first_pause
        Seconds of the first pause; doubled each time, up to ``longest``.
    longest
        Seconds of the longest pause.
    clock
        Seconds that only grow, whatever is done to the machine's clock.
    """

    def __init__(
        self,
        name: object,
        first_pause: float,
        longest: float = LONGEST_PEER_PAUSE,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._first_pause, self._longest, self._clock = name, first_pause, longest, clock
        self._services = [self]
        self._changed = Condition()
        self._pauses = self._in_a_row = self._successes = self._failures = 0
        self._last_success: float | None = None
        self._until = 0.0
        self._is_away = False
        self._doubted: OrderedDict[str, int] = OrderedDict()

    def for_service(self) -> Breaker:
        """A breaker for another service of the same peer: that it can be reached is known to all of them at once."""
        other = Breaker(self._name, self._first_pause, self._longest, clock=self._clock)
        other._services, other._changed = self._services, self._changed
        self._services.append(other)
        return other

    @property
    def traffic(self) -> Traffic:
        """What has gone over the service."""
        with self._changed:
            now = self._clock()
            since = None if self._last_success is None else now - self._last_success
            return Traffic(self._successes, self._failures, since, self._until > now)

    def pause_left(self) -> float:
        """Seconds until the peer is to be asked again; 0: now."""
        with self._changed:
            return max(0.0, self._until - self._clock())

    def wait(self, seconds: float) -> None:
        """Return after so many seconds, or when a service of the peer has succeeded."""
        with self._changed:
            self._changed.wait(seconds)

    def succeeded(self, what: str | None = None) -> bool:
        """Note a success, which ends the pause; True if there was one, so that what waits should be tried now.

        Parameters
        ----------
        what
            What succeeded; its earlier failures are forgotten.
        """
        with self._changed:
            was_paused = self._pauses > 0
            self._successes += 1
            self._last_success = self._clock()
            self._doubted.pop(what or "", None)
            for service in self._services:
                if service is self or service._is_away:
                    service._close()
            self._changed.notify_all()
        if was_paused:
            logger.info("%s works again; what has waited goes on", self._name)
        return was_paused

    def failed(self, problem: object) -> None:
        """Note a failure that is the peer's own: pause, longer each time."""
        with self._changed:
            self._is_away = True
            self._failures += 1
            is_first = self._pause()
        if is_first:
            logger.warning("%s; it is retried without limit", problem)

    def doubted(self, what: str, problem: object) -> bool:
        """Note a failure that may be the peer's or that of ``what`` was asked; True: it is that of ``what``."""
        is_first = False
        with self._changed:
            is_to_blame = self._doubted.pop(what, self._successes) < self._successes
            self._doubted[what] = self._successes
            if len(self._doubted) > _MOST_REMEMBERED:
                self._doubted.popitem(last=False)
            self._in_a_row += 1
            self._failures += 1
            if self._in_a_row >= _MOST_IN_A_ROW:
                is_first = self._pause()
        if is_first:
            logger.warning("%s, %d times in a row; it is retried without limit", problem, _MOST_IN_A_ROW)
        return is_to_blame

    def _pause(self) -> bool:
        self._pauses += 1
        self._until = self._clock() + min(pause(self._pauses, self._first_pause, self._longest), self._longest)
        return self._pauses == 1

    def _close(self) -> None:
        self._pauses = self._in_a_row = 0
        self._until, self._is_away = 0.0, False
