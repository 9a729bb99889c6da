"""What a user names as a source, to the files in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mammoscope.archive.places import filesystem_of, is_url, remote_errors
from mammoscope.archive.sources.dicomweb import Resource, dicomweb_batches
from mammoscope.archive.sources.file import Batch, local_file
from mammoscope.archive.sources.folder import Refuse, folder_batches
from mammoscope.archive.sources.manifest import is_manifest, manifest_batches
from mammoscope.archive.sources.pattern import Pattern, is_pattern, split
from mammoscope.archive.sources.remote import remote_batches
from mammoscope.errors import InputError


class Batches(Protocol):
    """What lists files, a batch at a time."""

    def batches(self, refuse: Refuse) -> Iterator[Batch]:
        """Files that lie together, such as those of one folder; ``refuse`` is told what cannot be listed."""
        ...


@dataclass(frozen=True)
class Sources:
    """Files, folders, globs, manifests (``.csv``, ``.parquet``), URLs of them, and what DICOMweb servers have.

    They are listed anew at each call.
    """

    places: Sequence[str]

    def batches(self, refuse: Refuse) -> Iterator[Batch]:
        """See ``Batches``; a source that does not exist or holds no image is refused.

        Raises
        ------
        MammoscopeError
            A manifest is none, or a store cannot be reached.
        """
        for place in self.places:
            refused: list[InputError] = []
            is_empty = True
            for batch in _batches_of(place, lambda error, told=refused: _tell(error, told, refuse)):  # type: ignore[misc]
                is_empty = False
                yield batch
            if is_empty and not refused:
                refuse(InputError(place, "holds no DICOM, PNG, JPEG, TIFF or PGM file"))

    def count(self) -> int:
        """How many files there are, which takes a walk through all of them."""
        return sum(len(batch) for batch in self.batches(lambda error: None))


def _tell(error: InputError, told: list[InputError], refuse: Refuse) -> None:
    if not told:
        told.append(error)
    refuse(error)


def _batches_of(place: str, refuse: Refuse) -> Iterator[Batch]:
    if is_url(place):
        yield from _remote(place, refuse)
        return
    path = Path(place)
    try:
        if path.is_dir():
            yield from folder_batches(path, refuse)
        elif path.is_file() and is_manifest(place):
            with path.open("rb") as stream:
                yield from manifest_batches(place, stream, refuse)
        elif path.exists():
            yield (local_file(path),)
        elif is_pattern(place):
            folder, parts = split(place)
            yield from folder_batches(Path(folder), refuse, Pattern.of(parts))
        else:
            refuse(InputError(path, "no such file or folder"))
    except (OSError, ValueError) as error:
        refuse(InputError(path, f"cannot be read ({getattr(error, 'strerror', None) or 'not a usable name'})"))


def _remote(url: str, refuse: Refuse) -> Iterator[Batch]:
    if (resource := Resource.of(url)) is not None:
        yield from dicomweb_batches(resource, refuse)
        return
    if not is_manifest(url):
        yield from remote_batches(url, refuse)
        return
    with remote_errors(url):
        files, path = filesystem_of(url)
        with files.open(path, "rb") as stream:
            yield from manifest_batches(url, stream, refuse)
