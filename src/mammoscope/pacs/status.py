"""What somebody who runs a queue has to know of it, and whether something is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.ages import WAITING
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.opening import is_worked_on
from mammoscope.pacs.queued_image import ImageState


class Verdict(IntEnum):
    """Whether something is wrong, as the exit code of ``mammoscope pacs status``."""

    WELL = 0
    ATTENTION = 1  # a person should look: dead letters, studies set aside
    STUCK = 4  # images wait for too long, or nothing works on them


@dataclass(frozen=True)
class QueueStatus:
    """The status of a queue.

    Attributes
    ----------
    is_running
        Whether ``watch`` or ``receive`` works on it.
    counts
        Number of images in each state.
    oldest_waiting
        Seconds since the image that waits longest came; None if none waits.
    studies_set_aside
        Studies on which the server that is watched fails.
    longest_wait
        Seconds after which an image waits for too long.
    """

    is_running: bool
    counts: dict[ImageState, int]
    oldest_waiting: float | None
    studies_set_aside: int
    longest_wait: float

    @property
    def waiting(self) -> int:
        """Images that are neither done nor dead letters."""
        return sum(self.counts[state] for state in WAITING)

    @property
    def problems(self) -> tuple[tuple[Verdict, str], ...]:
        """What is wrong, the worst first."""
        found = []
        if self.waiting and not self.is_running:
            found.append((Verdict.STUCK, f"{self.waiting} images wait, and neither 'watch' nor 'receive' runs"))
        if self.oldest_waiting is not None and self.oldest_waiting > self.longest_wait:
            found.append((Verdict.STUCK, f"an image has waited for {self.oldest_waiting:.0f} s"))
        if dead := self.counts[ImageState.DEAD]:
            found.append((Verdict.ATTENTION, f"{dead} dead letters: see 'mammoscope pacs dead'"))
        if self.studies_set_aside:
            found.append(
                (Verdict.ATTENTION, f"{self.studies_set_aside} studies are set aside: the server fails on them")
            )
        return tuple(found)

    @property
    def verdict(self) -> Verdict:
        """The worst of what is wrong."""
        return max((verdict for verdict, _ in self.problems), default=Verdict.WELL)

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "verdict": self.verdict.name.lower(),
            "problems": [text for _, text in self.problems],
            "running": self.is_running,
            "images": {str(state): count for state, count in self.counts.items()},
            "waiting": self.waiting,
            "oldest_waiting_seconds": None if self.oldest_waiting is None else round(self.oldest_waiting, 1),
            "dead_letters": self.counts[ImageState.DEAD],
            "studies_set_aside": self.studies_set_aside,
        }


def status_of(folder: Path, longest_wait: float) -> QueueStatus:
    """The status of the queue in a folder; raises ``MammoscopeError`` where it cannot be read."""
    try:
        queue = ImageQueue(folder, working=False)
    except OSError as error:  # another user's, for example
        raise MammoscopeError(f"{folder}: cannot be read ({error.strerror})") from None
    try:
        return QueueStatus(
            is_worked_on(folder),
            queue.counts(),
            queue.ages.oldest_waiting(),
            queue.memory.studies_set_aside(),
            longest_wait,
        )
    finally:
        queue.close()
