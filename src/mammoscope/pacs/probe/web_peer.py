"""A DICOMweb server as an end of the chain."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from urllib.parse import urlsplit

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from mammoscope.errors import MammoscopeError, place_of
from mammoscope.pacs.probe.line import line_problem
from mammoscope.pacs.probe.peer import Reports
from mammoscope.peers.bounded_http import BoundedHttp
from mammoscope.peers.bounds import AnswerError, Bounds
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.listing import Days
from mammoscope.peers.web_server import WebServer
from mammoscope.writers.dicom.result_kind import REPORT_CLASSES

_BOUNDS, _REMOVED = Bounds(1 << 20, 60.0), range(200, 300)
_DONE, _NOTHING, _NOT_FOUND = 200, 204, 404
_HINTS = {
    "401": "user, password or token are missing or wrong: MAMMOSCOPE_PACS_USER, …_PASSWORD, …_TOKEN",
    "403": "the account may not do this",
    "404": "this is not the root of its DICOMweb services",
    "507": "its disk is full",
}
_ORTHANC_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")


class WebPeer:
    """As ``Peer``.

    Parameters
    ----------
    server
        The server.
    """

    def __init__(self, server: WebServer) -> None:
        self._server, self._web, self._http = server, DicomWeb(server), BoundedHttp(server)
        self._root = server.url.rstrip("/")
        self._read: dict[str, frozenset[str]] = {}

    def __str__(self) -> str:
        return str(self._server)

    def reach(self) -> None:
        """As ``Peer``."""
        with self._explaining():
            self._web.check()

    def search(self, study: str) -> None:
        """As ``Peer``: for studies of today, of which it may have none."""
        with self._explaining():
            next(self._web.studies(Days(date.today(), date.today()), None), None)

    def store(self, images: Sequence[Dataset]) -> None:
        """As ``Peer``, by STOW-RS."""
        with self._explaining():
            self._web.store(images)

    def lists(self, study: str, images: Collection[str]) -> bool:
        """As ``Peer``, by QIDO-RS."""
        there, _ = self._web.instances(study, "MG")
        return {one.sop_instance for one in there} >= set(images)

    def reports(self, study: str) -> Reports:
        """As ``Peer``: each is fetched, and read."""
        there, _ = self._web.instances(study, "SR")
        found = {one.sop_instance: one.series for one in there if one.sop_class in REPORT_CLASSES}
        for uid in found.keys() - self._read.keys():
            with self._web.fetch(study, found[uid], uid) as blocks:
                self._read[uid] = _evidence_of(b"".join(blocks), self)
        return Reports(len(found), frozenset().union(*(self._read[uid] for uid in found)))

    def remove(self, study: str) -> str | None:
        """As ``Peer``: by a DELETE of the study, which some servers offer, or else as Orthanc does."""
        try:
            status, _ = self._ask("DELETE", f"{self._root}/studies/{study}")
            if status not in _REMOVED:
                self._remove_of_orthanc(study)
            is_there = self._has(study)
        except AnswerError as error:
            return f"the server {error}"
        return "the server offers no way to remove it that is known here" if is_there else None

    def _has(self, study: str) -> bool:
        """Whether it has anything of a study; True if that cannot be seen."""
        status, answer = self._ask("GET", f"{self._root}/studies?StudyInstanceUID={study}&limit=1")
        return status not in (_NOTHING, _NOT_FOUND) and answer.strip() != b"[]"

    def _remove_of_orthanc(self, study: str) -> None:
        """By Orthanc's own interface, which lies beside its DICOMweb services."""
        base = self._root.rpartition("/")[0]
        status, answer = self._ask("POST", f"{base}/tools/lookup", study.encode())
        if status != _DONE:
            return
        try:
            names = [str(one["ID"]) for one in json.loads(answer) if one["Type"] == "Study"]
        except (ValueError, KeyError, TypeError, RecursionError):  # it is no Orthanc
            return
        for name in filter(_ORTHANC_NAME.fullmatch, names):
            self._ask("DELETE", f"{base}/studies/{name}")

    def _ask(self, method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Accept": "application/dicom+json, application/json", "Accept-Encoding": "identity"}
        with self._http.asking(method, url, _BOUNDS, headers, body) as answer:
            return answer.status, answer.body() if answer.status == _DONE else b""

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Say of an error what is seen to be its reason."""
        try:
            yield
        except MammoscopeError as error:
            hint = self._reason(str(error))
            raise MammoscopeError(f"{error} ({hint})" if hint else str(error)) from None

    def _reason(self, problem: str) -> str | None:
        if (status := re.search(r" answers (\d{3}) to ", problem)) is not None:
            return _HINTS.get(status[1])
        if "cannot be reached" not in problem and "ended the connection" not in problem:
            return None
        parts = urlsplit(self._server.url)
        tls = self._server.tls.for_calling() if parts.scheme == "https" else None
        return line_problem(str(parts.hostname), parts.port or (80 if tls is None else 443), tls)


def _evidence_of(report: bytes, where: WebPeer) -> frozenset[str]:
    """The images that a structured report states as its evidence."""
    try:
        return frozenset(
            str(image.ReferencedSOPInstanceUID)
            for study in dcmread(BytesIO(report)).CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence
            for image in series.ReferencedSOPSequence
        )
    except Exception as error:  # what a damaged file makes pydicom raise is not bounded
        raise MammoscopeError(f"{where} gives a structured report that cannot be read ({place_of(error)})") from None
