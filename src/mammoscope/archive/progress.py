"""How far an archive is: counts, rate, time left, failures by kind."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

_WINDOW_SECONDS = 300.0  # the rate is that of the last five minutes
_LONGEST_WINDOW = 4096
FAILURES = ("refused", "failed", "crashed")


@dataclass
class Progress:
    """What has become of the files so far.

    Attributes
    ----------
    total
        Files in all; None while they are counted.
    known
        Files that were done earlier, or are listed twice.
    kinds
        Outcomes of this run by their kind, ``analysed`` among them.
    """

    total: int | None = None
    known: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    clock: Callable[[], float] = time.monotonic
    _times: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_LONGEST_WINDOW))

    def __post_init__(self) -> None:
        self._times.append((self.clock(), 0))

    def add(self, kind: str) -> None:
        """Note the outcome of a file."""
        self.kinds[kind] += 1
        now = self.clock()
        self._times.append((now, self.kinds.total()))
        while len(self._times) > 2 and now - self._times[0][0] > _WINDOW_SECONDS:
            self._times.popleft()

    @property
    def done(self) -> int:
        """Files that are done, in this run or earlier."""
        return self.known + self.kinds.total()

    @property
    def failed(self) -> int:
        """Files of this run that failed."""
        return sum(self.kinds[kind] for kind in FAILURES)

    @property
    def rate(self) -> float:
        """Files a second, those that were done earlier aside."""
        (start, before), (end, after) = self._times[0], self._times[-1]
        return (after - before) / (end - start) if end > start else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None where it cannot be told."""
        rate = self.rate
        if self.total is None or not rate:
            return None
        return max(0, self.total - self.done) / rate

    def text(self) -> str:
        """In a line."""
        of = f" of {self.total:,}" if self.total is not None else ""
        parts = [f"{self.done:,}{of} done"]
        if self.known:
            parts.append(f"{self.known:,} earlier")
        if self.rate:
            parts.append(f"{self.rate:.3g} a second")
        if self.seconds_left is not None:
            parts.append(f"{duration(self.seconds_left)} left")
        parts += [f"{count:,} {kind}" for kind, count in sorted(self.kinds.items()) if kind != "analysed"]
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time in the two largest units that it has: ``"3 d 4 h"``."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    whole, parts = round(seconds), []
    for unit, size in units:
        if whole >= size:
            parts.append(f"{whole // size} {unit}")
            whole %= size
    return " ".join(parts[:2]) or "0 s"
