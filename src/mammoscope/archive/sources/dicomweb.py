"""Images of a DICOMweb server, by URLs such as ``ROOT/studies/UID/series/UID/instances/UID`` (PS3.18 10.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mammoscope.archive.sources.file import LONGEST_BATCH, Batch, SourceFile, remote_file
from mammoscope.archive.sources.folder import Refuse
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.listing import Days
from mammoscope.peers.tls import SYSTEMS_TRUST
from mammoscope.peers.web_server import WebServer
from mammoscope.readers.dicom.admission import IMAGE_CLASSES

MODALITY = "MG"
_UID = r"[0-9.]{1,64}"
_RESOURCE = re.compile(
    rf"(?P<root>https?://[^?#]+?)/studies(?:/(?P<study>{_UID})"
    rf"(?:/series/(?P<series>{_UID})(?:/instances/(?P<instance>{_UID}))?)?)?/?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Resource:
    """What a URL names: all studies of a server, one, a series of it, or an instance of that.

    Attributes
    ----------
    root
        URL of the server's services.
    study, series, instance
        UIDs; None from where it is not said.
    """

    root: str
    study: str | None = None
    series: str | None = None
    instance: str | None = None

    @classmethod
    def of(cls, url: str) -> Resource | None:
        """From a URL; None if it names no such thing."""
        found = _RESOURCE.fullmatch(url)
        return None if found is None else cls(**found.groupdict())

    @property
    def study_url(self) -> str:
        """That of the study, in which the images of an exam are."""
        return f"{self.root}/studies/{self.study}"

    def server(self) -> DicomWeb:
        """The server, with the account that the environment names; raises ``MammoscopeError`` if its URL is none."""
        return DicomWeb(WebServer.from_environment(self.root, SYSTEMS_TRUST))


def dicomweb_batches(resource: Resource, refuse: Refuse) -> Iterator[Batch]:
    """The mammograms that a server has of what a URL names.

    Parameters
    ----------
    resource
        What is named.
    refuse
        Called with the error of each study that cannot be listed, or not to its end.

    Yields
    ------
    tuple of SourceFile
        Images of one study, at most 10,000.

    Raises
    ------
    MammoscopeError
        The server cannot be reached, or its list of studies cannot be read.
    """
    if resource.instance is not None:
        series = f"{resource.study_url}/series/{resource.series}"
        yield (_file(f"{series}/instances/{resource.instance}"),)
        return
    server = resource.server()
    if resource.study is not None:
        yield from _of_study(server, resource, resource.study, refuse)
        return
    studies = server.studies(Days(), MODALITY)
    while True:
        try:
            study = next(studies)
        except StopIteration as ended:
            if not ended.value:
                refuse(InputError(f"{resource.root}/studies", "the server's list of studies cannot be read to its end"))
            return
        yield from _of_study(server, resource, study.uid, refuse)


def _of_study(server: DicomWeb, resource: Resource, study: str, refuse: Refuse) -> Iterator[Batch]:
    url = f"{resource.root}/studies/{study}"
    try:
        found, is_whole = server.instances(study, MODALITY)
    except MammoscopeError as error:
        refuse(InputError(url, str(error).removeprefix(f"{server} ")))
        return
    if not is_whole:
        refuse(InputError(url, "the server's list of its images cannot be read to its end"))
    files = sorted(
        f"{url}/series/{one.series}/instances/{one.sop_instance}"
        for one in found
        if one.sop_class in IMAGE_CLASSES and resource.series in (None, one.series)
    )
    for first in range(0, len(files), LONGEST_BATCH):
        yield tuple(_file(file) for file in files[first : first + LONGEST_BATCH])


def _file(url: str) -> SourceFile:
    """An instance, by its URL alone: a server tells no size and no time of it."""
    return remote_file(url, {})
