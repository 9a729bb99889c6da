"""The state of each image in SQLite, and a folder for files. Both survive a kill and a power cut."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.ages import Ages
from mammoscope.pacs.image_files import ImageFiles
from mammoscope.pacs.image_place import ImagePlace, key_of
from mammoscope.pacs.image_rows import images_where, make_dead
from mammoscope.pacs.image_tables import PATIENCE_SECONDS, PRAGMAS, SCHEMA
from mammoscope.pacs.memory import Memory
from mammoscope.pacs.opening import REPAIR, lock_of, refuse_lost_states
from mammoscope.pacs.queued_image import Admission, Image, ImageState
from mammoscope.pacs.retries import LONGEST_PAUSE, pause
from mammoscope.pacs.steady_clock import SteadyClock
from mammoscope.pacs.turns import Turns, mark
from mammoscope.pacs.urgency import is_urgent_file
from mammoscope.queue.database import Database
from mammoscope.queue.folder import QueueFolder
from mammoscope.readers.source import data_set_sha256


class ImageQueue:
    """The queue in one folder, with the state of each image. Threads wait for each other, each for a short time.

    Parameters
    ----------
    folder
        Holds ``state.sqlite`` and ``files/``.
    working
        True for the one process that works on the queue: creates what is missing, and cleans up after a killed one.
        False for processes that only look, or retry dead letters.
    attempts
        Failures of a step after which an image becomes a dead letter.
    first_pause
        Seconds until the second attempt.
    keep
        Leave the files of images that are done.
    reserve
        Bytes of the disk to keep free, so that the queue can still be written.

    Attributes
    ----------
    memory
        What is remembered beside the images.
    ages
        How long they have waited, or been done.

    Raises
    ------
    MammoscopeError
        The folder cannot be used, its states are damaged or of another version of mammoscope, or another process works
        on it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        working: bool,
        attempts: int = 8,
        first_pause: float = 5.0,
        keep: bool = False,
        reserve: int = 0,
    ) -> None:
        self.folder, self._keep = folder, keep
        self._attempts, self._first_pause = attempts, first_pause
        place = QueueFolder(folder, "the queue")
        self._files = ImageFiles(place.files, reserve)
        self._now = SteadyClock()
        if not working and not place.database.exists():
            raise MammoscopeError(f"{folder}: holds no queue; 'pacs watch' and 'pacs receive' make one")
        with ExitStack() as opened:
            if working:
                refuse_lost_states(place)
                place.make()
                opened.callback(lock_of(place).close)
            self._database = Database(
                place, SCHEMA, pragmas=PRAGMAS, patience=PATIENCE_SECONDS, thorough=working, repair=REPAIR
            )
            opened.callback(self._database.close)
            self.memory, self._turns = Memory(self._database), Turns(self._database)
            self.ages = Ages(self._database, self._files, folder)
            if working:
                self._remove_unwanted(place)
                self._bring_forward()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the queue; the folder stays."""
        self._opened.close()

    def place(self, image: Image) -> ImagePlace:
        """Where the files of an image are."""
        return self._files.place(image.sop_instance)

    def find(self, sop_instance: str, sop_class: str, study: str, series: str) -> bool:
        """Add an image that another system has; False if it is known already."""
        with self._database.transaction() as database:
            return (
                database.execute(
                    "INSERT OR IGNORE INTO images (sop_instance, sop_class, study, series, state, due) "
                    "SELECT ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM forgotten WHERE key = ?)",
                    (sop_instance, sop_class, study, series, ImageState.FOUND, self._now(), key_of(sop_instance)),
                ).rowcount
                == 1
            )

    def admit(
        self, sop_instance: str, sop_class: str, content: bytes, wait: float = 0.0, *, is_urgent: bool = False
    ) -> Admission:
        """Add an image that another system sent: its file is on disk and in the queue when this returns.

        Other content under a known UID is a new version: it takes the place of the old one and is analysed.

        Parameters
        ----------
        sop_instance, sop_class
            UIDs.
        content
            The whole DICOM file.
        wait
            Seconds before its analysis is due.
        is_urgent
            Whether it goes before others, also if its header does not say so.

        Raises
        ------
        OSError, MammoscopeError
            It cannot be written; nothing of it is left.
        """
        digest = data_set_sha256(content)
        if (known := self.image(sop_instance)) is not None and known.digest == digest:
            return Admission.KNOWN
        with self._files.written([content]) as (temporary, _):
            is_urgent |= is_urgent_file(temporary)
            try:
                with self._database.transaction() as database:
                    known = self.image(sop_instance)
                    if known is not None and known.digest == digest:
                        return Admission.KNOWN
                    self._files.put(temporary, sop_instance)
                    if known is None:
                        added = database.execute(
                            "INSERT INTO images (sop_instance, sop_class, digest, state, due) VALUES (?, ?, ?, ?, ?)",
                            (sop_instance, sop_class, digest, ImageState.RECEIVED, self._now() + wait),
                        )
                        mark(database, added.lastrowid, is_urgent=is_urgent)
                        return Admission.NEW
                    database.execute(
                        "UPDATE images SET sop_class = ?, digest = ?, state = ?, failures = 0, due = ?, problem = NULL "
                        "WHERE position = ?",
                        (sop_class, digest, ImageState.RECEIVED, self._now() + wait, known.position),
                    )
                    mark(database, known.position, is_urgent=is_urgent)
                    return Admission.CHANGED
            except BaseException:
                with self._database.transaction():  # so that nobody admits it between the check and the removal
                    if self.image(sop_instance) is None:
                        self._files.remove(sop_instance)
                raise

    def fetched(self, image: Image, blocks: Iterable[bytes], wait: float = 0.0) -> bool:
        """Keep the file of an image that was found; raises as ``admit`` does, and what ``blocks`` raises.

        Returns
        -------
        bool
            False, and the image stays as it was, if it is what was fetched before and could not be analysed.
        """
        with self._files.written(blocks) as (temporary, digest), self._database.transaction() as database:
            is_urgent = is_urgent_file(temporary)
            self._files.put(temporary, image.sop_instance)
            if digest == image.digest:
                return False
            database.execute(
                "UPDATE images SET state = ?, failures = iif(digest IS NULL, 0, failures), digest = ?, due = ?, "
                "problem = NULL WHERE position = ? AND state = ?",
                (ImageState.RECEIVED, digest, self._now() + wait, image.position, image.state),
            )
            mark(database, image.position, is_urgent=is_urgent)
        return True

    def fetch_again(self, image: Image, problem: str) -> bool:
        """What was fetched cannot be analysed: fetch it again, for it may have been damaged; True if it is given up."""
        failures = image.failures + 1
        is_last = failures >= self._attempts
        with self._database.transaction() as database:
            if is_last:
                make_dead(database, image, problem)
            else:
                database.execute(
                    "UPDATE images SET state = ?, failures = ?, due = ?, problem = ? WHERE position = ? AND state = ?",
                    (
                        ImageState.FOUND,
                        failures,
                        self._now() + pause(failures, self._first_pause),
                        problem,
                        image.position,
                        image.state,
                    ),
                )
        return is_last

    def is_whole(self, image: Image) -> bool:
        """Whether the file of an image is on disk, byte for byte as received."""
        return self._files.is_whole(image.sop_instance, image.digest)

    def next(self, state: ImageState) -> Image | None:
        """The image of this state whose turn it is: of those that are due, as ``Turns`` says."""
        return self._turns.next(state, self._now())

    def wait(self, seconds: float) -> None:
        """Return when something has changed, or after so many seconds."""
        self._database.wait(seconds)

    def wake(self) -> None:
        """Wake all waiting threads."""
        self._database.wake()

    def analysed(self, image: Image, results: Iterable[str]) -> None:
        """Its results are on disk; ``results`` are their SOP Instance UIDs."""
        with self._database.transaction() as database:
            database.executemany("INSERT OR IGNORE INTO results VALUES (?)", [(result,) for result in results])
            self._move(database, image, ImageState.ANALYSED)

    def finish(self, image: Image, state: ImageState, reason: str | None = None) -> None:
        """It is done: its state is SENT or SKIPPED, and its files are removed."""
        with self._database.transaction() as database:
            self._move(database, image, state, problem=reason)
        if self._keep:
            return
        with self._database.transaction():  # so that no new version arrives between the check and the removal
            current = self.image(image.sop_instance)
            if current is not None and current.state in (ImageState.SENT, ImageState.SKIPPED):
                self._files.remove(image.sop_instance)

    def analyse_again(self, image: Image, problem: str) -> None:
        """Its results are not on disk after all."""
        with self._database.transaction() as database:
            self._move(database, image, ImageState.RECEIVED, problem=problem)

    def fail(self, image: Image, problem: str, *, final: bool = False) -> bool:
        """Note a failure of the step that is due; True if that was the last attempt."""
        failures = image.failures + 1
        is_last = final or failures >= self._attempts
        with self._database.transaction() as database:
            if is_last:
                make_dead(database, image, problem)
            else:
                database.execute(
                    "UPDATE images SET failures = ?, due = ?, problem = ? "
                    "WHERE position = ? AND state = ? AND digest IS ?",
                    (
                        failures,
                        self._now() + pause(failures, self._first_pause),
                        problem,
                        image.position,
                        image.state,
                        image.digest,
                    ),
                )
        return is_last

    def postpone(self, image: Image, seconds: float, problem: str) -> None:
        """Try again later, as if nothing had been tried."""
        with self._database.transaction() as database:
            database.execute(
                "UPDATE images SET due = ?, problem = ? WHERE position = ? AND state = ?",
                (self._now() + seconds, problem, image.position, image.state),
            )

    def hasten(self, state: ImageState) -> None:
        """Try now what was postponed in a state."""
        with self._database.transaction() as database:
            database.execute(
                "UPDATE images SET due = min(due, ?) WHERE state = ? AND failures = 0 AND problem IS NOT NULL",
                (self._now(), state),
            )

    def revive(self, keys: Iterable[str] | None = None) -> int:
        """Retry dead letters, all or those of these keys; returns how many.

        What could not be analysed is fetched anew, if it was fetched. All else goes on from the step that failed.
        """
        wanted = None if keys is None else set(keys)
        chosen = [image for image in self.images(ImageState.DEAD) if wanted is None or image.key in wanted]
        with self._database.transaction() as database:
            database.executemany(
                "UPDATE images SET failures = 0, due = 0, "  # another process has a clock of its own
                "state = iif(study IS NOT NULL AND next_state = 'received', 'found', next_state), "
                "digest = iif(study IS NOT NULL AND next_state IN ('received', 'found'), NULL, digest) "
                "WHERE position = ? AND state = 'dead'",
                [(image.position,) for image in chosen],
            )
        return len(chosen)

    def images(self, state: ImageState) -> list[Image]:
        """All images of a state, oldest first."""
        return images_where(self._database, "state = ? ORDER BY position", (state,))

    def image(self, sop_instance: str) -> Image | None:
        """One image; None if it is not known."""
        rows = images_where(self._database, "sop_instance = ?", (sop_instance,))
        return rows[0] if rows else None

    def counts(self) -> dict[ImageState, int]:
        """Number of images in each state."""
        found = dict(self._database.rows("SELECT state, count(*) FROM images GROUP BY state"))
        return {state: found.get(state, 0) for state in ImageState}

    def _remove_unwanted(self, place: QueueFolder) -> None:
        """Remove the files of images that were never accepted, or are done."""
        done = () if self._keep else (ImageState.SENT, ImageState.SKIPPED)
        place.remove_unknown({image.key for state in ImageState if state not in done for image in self.images(state)})

    def _bring_forward(self) -> None:
        """Let nothing wait longer than any pause: the machine's clock may have been set back since."""
        now = self._now()
        with self._database.transaction() as database:
            database.execute("UPDATE images SET due = ? WHERE due > ?", (now, now + 2 * LONGEST_PAUSE))

    def _move(
        self,
        database: sqlite3.Connection,
        image: Image,
        state: ImageState,
        wait: float = 0.0,
        problem: str | None = None,
    ) -> None:
        """Change an image's state, if it is still the one that was read, in the same version."""
        database.execute(
            "UPDATE images SET state = ?, failures = 0, due = ?, problem = ? "
            "WHERE position = ? AND state = ? AND digest IS ?",
            (state, self._now() + wait, problem, image.position, image.state, image.digest),
        )
