"""The files of the queue's images: they survive a kill and a power cut."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from uuid import uuid4

from mammoscope.files import sync_folder
from mammoscope.pacs.image_place import ImagePlace, key_of
from mammoscope.readers.source import data_set_sha256_of

LEAST_RESERVE = 64 << 20


class ImageFiles:
    """One folder for each image.

    Parameters
    ----------
    folder
        Holds them.
    reserve
        Bytes of the disk to keep free, at least 64 MiB: results and states must still be written, or nothing that would
        make room could be done.
    """

    def __init__(self, folder: Path, reserve: int) -> None:
        self.folder, self._reserve = folder, max(reserve, LEAST_RESERVE)
        self._about_to_be_written = 0
        self._lock = Lock()

    def place(self, sop_instance: str) -> ImagePlace:
        """Where the files of an image are."""
        return ImagePlace(self.folder / key_of(sop_instance))

    @contextmanager
    def written(self, blocks: Iterable[bytes]) -> Iterator[tuple[Path, str]]:
        """A file with this content and the SHA-256 of its data set; to be ``put`` in the block, otherwise removed.

        Raises
        ------
        OSError
            It cannot be written, or the disk has no room for it.
        """
        temporary = self.folder / f".{uuid4().hex}"
        try:
            with temporary.open("wb") as stream:
                for block in blocks:
                    with self._room(len(block)):
                        stream.write(block)
                stream.flush()
                os.fsync(stream.fileno())
            yield temporary, data_set_sha256_of(temporary)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    @contextmanager
    def _room(self, size: int) -> Iterator[None]:
        """A block that may write so many bytes; several at once do not take the same room."""
        with self._lock:
            if shutil.disk_usage(self.folder).free - self._about_to_be_written - size < self._reserve:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._about_to_be_written += size
        try:
            yield
        finally:
            with self._lock:
                self._about_to_be_written -= size

    def put(self, temporary: Path, sop_instance: str) -> None:
        """Make a file that was written the one of an image; raises OSError where that cannot be done."""
        place = self.place(sop_instance)
        place.folder.mkdir(mode=0o700, exist_ok=True)
        temporary.replace(place.image)
        sync_folder(place.folder)
        sync_folder(place.folder.parent)

    def is_whole(self, sop_instance: str, digest: str | None) -> bool:
        """Whether the file of an image is on disk and its data set has this SHA-256."""
        try:
            return data_set_sha256_of(self.place(sop_instance).image) == digest
        except OSError:
            return False

    def remove(self, sop_instance: str) -> None:
        """Remove all files of an image."""
        shutil.rmtree(self.place(sop_instance).folder, ignore_errors=True)
