"""Bring the files of an archive to this machine: from object stores by fsspec, from DICOMweb servers by WADO-RS."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from mammoscope.archive.places import filesystem_of, shown
from mammoscope.archive.sources.dicomweb import Resource
from mammoscope.archive.sources.file import SourceFile
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.errors import FailedError

_TRIES, _PAUSE = 3, 1.0  # seconds; a server that is restarted takes longer, and then --retry-failed is for it


class NotFetchedError(InputError):
    """A remote file that cannot be fetched, now."""


@dataclass
class Fetcher:
    """Fetches files, one at a time; threads need one of these each.

    Attributes
    ----------
    largest
        Bytes of a file at most.
    """

    largest: int
    _servers: dict[str, DicomWeb] = field(default_factory=dict)

    def local(self, file: SourceFile, folder: Path) -> Path:
        """The file, fetched into a new folder in ``folder`` if it is remote.

        Raises
        ------
        NotFetchedError
            It cannot be fetched, now.
        InputError
            It is too large.
        """
        if not file.is_remote:
            return Path(file.place)
        resource = Resource.of(file.place)
        if resource is None or resource.instance is None:
            return self._object(file.place, Path(mkdtemp(dir=folder)))
        path = Path(mkdtemp(dir=folder)) / "instance.dcm"
        for tries in range(1, _TRIES + 1):
            try:
                self._instance(file.place, resource, path)
                break
            except FailedError as error:  # of this image, as the next answer will be
                raise self._not_fetched(file, resource, error) from None
            except MammoscopeError as error:
                if isinstance(error, InputError):
                    raise
                if tries == _TRIES:
                    raise self._not_fetched(file, resource, error) from None
                time.sleep(_PAUSE * tries)
        return path

    def _instance(self, place: str, resource: Resource, path: Path) -> None:
        if resource.root not in self._servers:
            self._servers[resource.root] = resource.server()
        server, size = self._servers[resource.root], 0
        uids = (str(uid) for uid in (resource.study, resource.series, resource.instance))
        with server.fetch(*uids) as blocks, path.open("wb") as stream:
            for block in blocks:
                size += len(block)
                self._check_size(place, size)
                stream.write(block)

    def _object(self, place: str, folder: Path) -> Path:
        try:
            files, name = filesystem_of(place)
        except MammoscopeError as error:
            raise NotFetchedError(place, str(error).removeprefix(f"{shown(place)}: ")) from None
        path = folder / name.rpartition("/")[2]
        try:
            if (size := files.size(name)) is not None:
                self._check_size(place, size)
            files.get_file(name, str(path))
        except InputError:
            raise
        except Exception as error:  # each library has errors of its own, whose text names the file
            raise NotFetchedError(place, f"cannot be fetched ({type(error).__name__})") from None
        return path

    def _check_size(self, place: str, size: int) -> None:
        if size > self.largest:
            raise InputError(place, f"is larger than {self.largest / 2**20:g} MiB")

    @staticmethod
    def _not_fetched(file: SourceFile, resource: Resource, error: MammoscopeError) -> NotFetchedError:
        return NotFetchedError(file.place, f"the server {str(error).removeprefix(f'{resource.root} ')}")
