"""A DICOM archive of the tests' own, without DICOMweb, that behaves until a test tells it to misbehave."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from threading import Lock
from types import TracebackType
from typing import Any

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, build_context, evt
from pynetdicom.dimse_messages import C_FIND_RSP, C_GET_RSP
from pynetdicom.dimse_primitives import C_FIND, C_GET
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from pacs.kept import Kept

FIND = StudyRootQueryRetrieveInformationModelFind
GET = StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove
MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"
PENDING = 0xFF00
TITLE = "ARCHIVE"

Answer = tuple[int, Dataset | None]
Misbehaviour = Callable[["DimsePeer", evt.Event], Iterator[Answer]]
_ANSWERS = (
    ("STUDY", ("StudyInstanceUID", "StudyDate", "ModalitiesInStudy", "NumberOfStudyRelatedInstances")),
    ("SERIES", ("StudyInstanceUID", "SeriesInstanceUID", "Modality")),
    ("IMAGE", ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")),
)


class DimsePeer:
    """Listens as ``ARCHIVE``; a context manager.

    ``misbehave`` maps the level of a query, ``"GET"`` or ``"MOVE"`` to what is done instead of answering. ``asked``
    lists the requests, each as that and the UID of the study. ``limit`` is the number of matches after which it ends an
    answer as if it were whole, ``takes`` the keys of a study that it understands, ``classes`` whether it states them.
    """

    def __init__(self, *services: str, tls: ssl.SSLContext | None = None) -> None:
        self.kept: dict[str, Kept] = {}
        self.misbehave: dict[str, Misbehaviour] = {}
        self.asked: list[tuple[str, str]] = []
        self.limit = 10**6
        self.takes = frozenset(_ANSWERS[0][1])
        self.filters, self.states_classes = True, True
        self.destination = ("127.0.0.1", 0)
        self.stored: list[str] = []
        self.lock = Lock()
        entity = self.entity = AE(TITLE)
        for service in services or (FIND, GET, MOVE):
            entity.add_supported_context(service)
        entity.add_supported_context(MAMMOGRAM, ALL_TRANSFER_SYNTAXES, scu_role=True, scp_role=True)
        for sop_class in ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.88.33"):
            entity.add_supported_context(sop_class)
        self._server: Any = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            ssl_context=tls,
            evt_handlers=[
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_C_GET, self._get),
                (evt.EVT_C_MOVE, self._move),
                (evt.EVT_C_STORE, self._store),
            ],
        )

    def __enter__(self) -> DimsePeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    @property
    def node(self) -> str:
        return f"{TITLE}@127.0.0.1:{self._server.server_address[1]}"

    def add(self, content: bytes, **changed: str) -> Kept:
        """Keep a DICOM file; ``changed`` is what the archive says of it instead of what it holds."""
        kept = Kept.of(content, **changed)
        self.kept[kept.sop_instance] = kept
        return kept

    def add_study(self, number: int, day: str, modality: str = "MG") -> None:
        """Keep a study of one image that is only searched for."""
        uid = f"1.2.9.{number}"
        self.kept[f"{uid}.1.1"] = Kept(uid, f"{uid}.1", f"{uid}.1.1", MAMMOGRAM, modality, day, b"")

    def _wrong(self, event: evt.Event, what: str) -> Iterator[Answer] | None:
        with self.lock:
            self.asked.append((what, str(event.identifier.get("StudyInstanceUID", ""))))
        wrong = self.misbehave.get(what)
        return None if wrong is None else wrong(self, event)

    def _find(self, event: evt.Event) -> Iterator[Answer]:
        query = event.identifier
        level = str(query.QueryRetrieveLevel)
        if (wrong := self._wrong(event, level)) is not None:
            yield from wrong
            return
        if level == "STUDY" and not {element.keyword for element in query} <= {*self.takes, "QueryRetrieveLevel"}:
            yield 0xA900, None
            return
        for number, one in enumerate(matching(self, query)):
            if number >= self.limit:
                break
            yield PENDING, one
        yield 0x0000, None

    def _get(self, event: evt.Event) -> Iterator[Any]:
        if (wrong := self._wrong(event, "GET")) is not None:
            yield from wrong
            return
        found = [one for one in self.kept.values() if one.sop_instance == event.identifier.SOPInstanceUID]
        yield len(found)
        for one in found:
            yield PENDING, one.dataset

    def _move(self, event: evt.Event) -> Iterator[Any]:
        contexts = [build_context(MAMMOGRAM, syntax) for syntax in ALL_TRANSFER_SYNTAXES[:4]]
        yield (*self.destination, {"contexts": contexts})
        if (wrong := self._wrong(event, "MOVE")) is not None:
            yield from wrong
            return
        found = [one for one in self.kept.values() if one.sop_instance == event.identifier.SOPInstanceUID]
        yield len(found)
        for one in found:
            yield PENDING, one.dataset

    def _store(self, event: evt.Event) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))  # type: ignore[union-attr]
        return 0x0000


def matching(peer: DimsePeer, query: Dataset) -> list[Dataset]:
    """The right answers to a query."""
    level = str(query.QueryRetrieveLevel)
    first, dash, last = str(query.get("StudyDate", "")).partition("-")
    if first and not dash:
        last = first
    wanted = str(query.get("ModalitiesInStudy", "") or query.get("Modality", ""))
    found: dict[str, list[Kept]] = {}
    for one in peer.kept.values():
        in_range = not (first or last) or bool(one.day and (first or "0") <= one.day <= (last or "9"))
        has_uids = str(query.StudyInstanceUID) in ("", one.study)
        has_uids &= level != "IMAGE" or str(query.SeriesInstanceUID) in ("", one.series)
        if in_range and has_uids and (not peer.filters or wanted in ("", one.modality)):
            key = {"STUDY": one.study, "SERIES": one.series, "IMAGE": one.sop_instance}[level]
            found.setdefault(key, []).append(one)
    return [answered(peer, level, query, members) for members in found.values()]


def answered(peer: DimsePeer, level: str, query: Dataset, members: list[Kept]) -> Dataset:
    one, answer = members[0], Dataset()
    values = {
        "StudyInstanceUID": one.study,
        "SeriesInstanceUID": one.series,
        "SOPInstanceUID": one.sop_instance,
        "SOPClassUID": one.sop_class if peer.states_classes else None,
        "StudyDate": one.day,
        "Modality": one.modality,
        "ModalitiesInStudy": sorted({member.modality for member in members}),
        "NumberOfStudyRelatedInstances": str(len(members)),
    }
    answer.QueryRetrieveLevel = level
    for keyword in dict(_ANSWERS)[level]:
        if keyword in query and values[keyword] is not None:
            tag = query.data_element(keyword).tag  # type: ignore[union-attr]
            vr = query.data_element(keyword).VR  # type: ignore[union-attr]
            answer.add(DataElement(tag, vr, values[keyword], validation_mode=config.IGNORE))
    return answer


# What an archive does instead of answering.


def says(status: int) -> Misbehaviour:
    """A status at once; for C-GET and C-MOVE after saying that there is one object."""

    def answer(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
        if event.event is not evt.EVT_C_FIND:
            yield 1
        yield status, None

    return answer


def aborts(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
    event.assoc.abort()
    yield 0x0110, None


def hangs(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
    time.sleep(3)
    yield from says(0x0110)(peer, event)


def finds(*items: Dataset, status: int = 0x0000) -> Misbehaviour:
    """These, and then a status."""

    def answer(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
        for item in items:
            yield PENDING, item
        yield status, None

    return answer


def garbled(content: bytes) -> Misbehaviour:
    """A match whose identifier is these bytes."""

    def answer(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
        match = C_FIND()
        match.MessageIDBeingRespondedTo, match.AffectedSOPClassUID = event.request.MessageID, FIND  # type: ignore
        match.Status, match.Identifier = PENDING, BytesIO(content)
        event.assoc.dimse.send_msg(match, event.context.context_id)
        yield 0x0000, None

    return answer


def floods(size: int = 0) -> Misbehaviour:
    """Pending answers as fast as they can be sent: to C-FIND with so many bytes each, to C-GET without any."""

    def answer(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
        is_find = event.event is evt.EVT_C_FIND
        pending: Any = C_FIND() if is_find else C_GET()
        if is_find:
            uid = b"\x20\0\x0d\0\x06\0\0\0" + b"1.2.3\0"
            pending.Identifier = BytesIO(uid + b"\x10\0\0\x40" + size.to_bytes(4, "little") + b"x" * size)
        else:
            pending.NumberOfRemainingSuboperations = 1
            yield 1
        pending.MessageIDBeingRespondedTo = event.request.MessageID  # type: ignore[union-attr]
        pending.AffectedSOPClassUID, pending.Status = FIND if is_find else GET, PENDING
        message: Any = C_FIND_RSP() if is_find else C_GET_RSP()
        message.primitive_to_message(pending)
        pieces = b""
        for part in message.encode_msg(event.context.context_id, 16_382):
            piece = P_DATA_TF()
            piece.from_primitive(part)
            pieces += piece.encode()
        with suppress(OSError):
            while True:
                event.assoc.dul.socket.socket.sendall(pieces * max(1, 100_000 // len(pieces)))
        yield 0x0000, None

    return answer


def never_ends(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
    item, number = Dataset(), 0
    while event.assoc.is_established:
        number += 1
        item.StudyInstanceUID = f"1.2.9.{number}"
        yield PENDING, item


def drips(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
    for answer in never_ends(peer, event):
        time.sleep(0.05)
        yield answer


def sends(*others: Dataset, announced: int = 1) -> Misbehaviour:
    """These, whatever was asked for."""

    def answer(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
        yield announced
        for other in others:
            yield PENDING, other
        if announced > len(others):
            yield 0xB000, None

    return answer


def nothing(peer: DimsePeer, event: evt.Event) -> Iterator[Any]:
    yield 0
