"""The time of day at the start of a process, and from then on only ever forward."""

from __future__ import annotations

import time


class SteadyClock:
    """Seconds since 1970 as the machine said them when this was made, plus what has passed since.

    So a clock that is set back, or forward, neither stops what waits nor hurries it.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        return self._offset + time.monotonic()
