"""The files of the queue's images: they survive a kill and a power cut."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from mammoscope.pacs.durable import sync, sync_folder
from mammoscope.pacs.image_place import ImagePlace, key_of
from mammoscope.readers.source import data_set_sha256


class ImageFiles:
    """One folder for each image.

    Parameters
    ----------
    folder
        Holds them.
    reserve
        Bytes of the disk to keep free, so that the queue can still be written.
    """

    def __init__(self, folder: Path, reserve: int) -> None:
        self._folder, self._reserve = folder, reserve

    def place(self, sop_instance: str) -> ImagePlace:
        """Where the files of an image are."""
        return ImagePlace(self._folder / key_of(sop_instance))

    @contextmanager
    def written(self, content: bytes) -> Iterator[Path]:
        """A file with this content, to be ``put`` in the block; otherwise removed at its end.

        Raises
        ------
        OSError
            It cannot be written, or the disk has no room for it.
        """
        if shutil.disk_usage(self._folder).free - len(content) < self._reserve:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        temporary = self._folder / f".{uuid4().hex}"
        try:
            sync(temporary, content)
            yield temporary
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

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
            return data_set_sha256(self.place(sop_instance).image.read_bytes()) == digest
        except OSError:
            return False

    def remove(self, sop_instance: str) -> None:
        """Remove all files of an image."""
        shutil.rmtree(self.place(sop_instance).folder, ignore_errors=True)
