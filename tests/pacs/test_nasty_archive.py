"""A DICOM archive that answers anything at all: each answer is refused in bounds, by one line that says whose fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from films import NAME, encoded, film, film_uid
from nasty_dimse import (
    FIND,
    GET,
    MAMMOGRAM,
    DimsePeer,
    Misbehaviour,
    aborts,
    drips,
    finds,
    garbled,
    hangs,
    never_ends,
    nothing,
    says,
    sends,
)
from pydicom.dataset import Dataset
from pynetdicom import AE
from tls_files import TlsFiles

from mammoscope.errors import MammoscopeError
from mammoscope.pacs import query, retrieval
from mammoscope.pacs.dicom_archive import DicomArchive
from mammoscope.pacs.move_destination import MoveDestination
from mammoscope.pacs.settings import Listening, Node
from mammoscope.peers.bounds import Bounds
from mammoscope.peers.errors import FailedError, UnavailableError, UncertainError
from mammoscope.peers.listing import Days
from mammoscope.peers.tls import Tls
from mammoscope.readers.source import data_set_sha256

FILM = film(0)
LARGE = film(0, PatientComments="x" * 2_000_000)
NOWHERE = Dataset()
NOWHERE.StudyDate = "20200101"
STRANGE = Dataset()
STRANGE.PatientName = NAME
STRANGE.add_new("StudyInstanceUID", "UI", "not.a.uid")


def search(archive: DicomArchive) -> object:
    return list(archive.studies(Days(), "MG"))


def look_into(archive: DicomArchive) -> object:
    return archive.instances(FILM.StudyInstanceUID, "MG")


def fetch(archive: DicomArchive) -> object:
    with archive.fetch(FILM.StudyInstanceUID, FILM.SeriesInstanceUID, FILM.SOPInstanceUID) as blocks:
        return b"".join(blocks)


@contextmanager
def archive_of(peer: DimsePeer, *, by_move: bool = False) -> Iterator[DicomArchive]:
    """What speaks to it; by C-MOVE, with a listener of its own."""
    if not by_move:
        yield DicomArchive(Node.parse(peer.node), "MAMMOSCOPE", None)
        return
    destination = MoveDestination(Listening("MAMMOSCOPE", port=0))
    destination.start()
    peer.destination = ("127.0.0.1", destination.port)
    yield DicomArchive(Node.parse(peer.node), "MAMMOSCOPE", None, destination)
    destination.stop()


Row = tuple[str, Callable[[DicomArchive], object], dict[str, Misbehaviour], type[Exception], str]
TABLE: list[Row] = [
    ("out of resources", search, {"STUDY": says(0xA700)}, UncertainError, r"fails on C-FIND \(status 0xA700"),
    ("not understood", search, {"STUDY": says(0xA900)}, FailedError, "status 0xA900"),
    ("cannot process", search, {"STUDY": says(0xC000)}, UncertainError, "status 0xC000"),
    ("processing failure", search, {"STUDY": says(0x0110)}, UncertainError, "status 0x0110"),
    ("no such service", search, {"STUDY": says(0x0122)}, UnavailableError, "status 0x0122"),
    ("not authorised", look_into, {"SERIES": says(0x0124)}, UnavailableError, "status 0x0124"),
    ("a status of its own", search, {"STUDY": says(0x1234)}, UncertainError, "status 0x1234"),
    ("an abort", search, {"STUDY": aborts}, UncertainError, "ended the association on C-FIND"),
    ("silence", search, {"STUDY": hangs}, UncertainError, "took more than 0.5 s on C-FIND"),
    ("endless matches", search, {"STUDY": never_ends}, UncertainError, "took more than 0.5 s|gave more than 1 MiB"),
    ("a drip", look_into, {"SERIES": drips}, UncertainError, "took more than 0.5 s"),
    ("no UID", search, {"STUDY": finds(NOWHERE)}, UncertainError, "nothing with the UIDs it must state"),
    ("no UID at all", search, {"STUDY": finds(STRANGE)}, UncertainError, "nothing with the UIDs it must state"),
    ("a garbled match", search, {"STUDY": garbled(b"\x20\0\x0d\0\xff\xff\xff")}, UncertainError, "nothing with"),
    ("noise", look_into, {"SERIES": garbled(b"\xfe\xff" * 500)}, UncertainError, "nothing with the UIDs"),
    ("a large match", look_into, {"SERIES": garbled(b"x" * 2_000_000)}, UncertainError, "gave more than 1 MiB"),
    ("images fail", look_into, {"IMAGE": says(0xC001)}, UncertainError, "status 0xC001"),
    ("images abort", look_into, {"IMAGE": aborts}, UncertainError, "ended the association"),
    ("out of resources", fetch, {"GET": says(0xA702)}, UncertainError, r"fails on C-GET \(status 0xA702"),
    ("not understood", fetch, {"GET": says(0xA900)}, FailedError, "status 0xA900"),
    ("cannot process", fetch, {"GET": says(0xC0FF)}, UncertainError, "status 0xC0FF"),
    ("not authorised", fetch, {"GET": says(0x0124)}, UnavailableError, "status 0x0124"),
    ("gone", fetch, {"GET": nothing}, FailedError, "does not have it any more"),
    ("fewer than announced", fetch, {"GET": sends()}, UncertainError, "did not send it on C-GET .status 0xB000"),
    ("cancelled", fetch, {"GET": says(0xFE00)}, UncertainError, "status 0xFE00"),
    ("another image", fetch, {"GET": sends(film(1))}, UncertainError, "sent another object"),
    (
        "many others",
        fetch,
        {"GET": sends(*[film(9)] * 3, announced=3)},
        UncertainError,
        "sent another object|more than",
    ),
    ("an abort", fetch, {"GET": aborts}, UncertainError, "ended the association on C-GET"),
    ("silence", fetch, {"GET": hangs}, UncertainError, "took more than 0.5 s on C-GET"),
    ("too large", fetch, {"GET": sends(LARGE)}, UncertainError, "gave more than 1 MiB on C-GET"),
    ("no such destination", fetch, {"MOVE": says(0xA801)}, UnavailableError, r"fails on C-MOVE \(status 0xA801"),
    ("out of resources", fetch, {"MOVE": says(0xA701)}, UncertainError, "status 0xA701"),
    ("gone", fetch, {"MOVE": nothing}, FailedError, "does not have it any more"),
    ("fewer than announced", fetch, {"MOVE": sends()}, UncertainError, "did not send it on C-MOVE .status 0xB000"),
    ("another image", fetch, {"MOVE": sends(film(1))}, UncertainError, "on C-MOVE .status 0xA702"),
    ("an abort", fetch, {"MOVE": aborts}, UncertainError, "ended the association on C-MOVE"),
    ("silence", fetch, {"MOVE": hangs}, UncertainError, "took more than 0.5 s on C-MOVE"),
]


@pytest.mark.parametrize(
    ("call", "answer", "error", "problem"),
    [row[1:] for row in TABLE],
    ids=[f"{next(iter(r[2]))} {r[0]}" for r in TABLE],
)
def test_an_answer_that_is_refused(
    call: Callable[[DicomArchive], object],
    answer: dict[str, Misbehaviour],
    error: type[Exception],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (query, retrieval):
        monkeypatch.setattr(module, "_BOUNDS", Bounds(1 << 20, 0.5))
    with DimsePeer() as peer, archive_of(peer, by_move="MOVE" in answer) as archive:
        peer.add(encoded(FILM))
        peer.misbehave = answer
        begun = time.monotonic()
        with pytest.raises(error, match=problem) as refused:
            call(archive)
        assert time.monotonic() - begun < 5 and NAME not in str(refused.value) and type(refused.value) is error


@pytest.mark.parametrize("by_move", [False, True])
def test_what_is_right_is_taken(by_move: bool) -> None:
    with DimsePeer() as peer, archive_of(peer, by_move=by_move) as archive:
        kept = peer.add(encoded(FILM))
        archive.check()
        (study,) = archive.studies(Days(), "MG")
        assert (study.uid, study.instances, study.modalities) == (kept.study, 1, {"MG"})
        (one,), is_whole = archive.instances(study.uid, "MG")
        assert is_whole and (one.series, one.sop_instance, one.sop_class) == (kept.series, kept.sop_instance, MAMMOGRAM)
        content = fetch(archive)
        assert isinstance(content, bytes)
        assert data_set_sha256(content) == data_set_sha256(kept.content)


def test_an_archive_is_talked_to_by_tls_and_interrupted_there_too(
    tls: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "_BOUNDS", Bounds(1 << 20, 0.5))
    with DimsePeer(tls=Tls(tls.certificate, tls.key).for_listening()) as peer:
        peer.add(encoded(FILM))
        archive = DicomArchive(Node.parse(peer.node), "MAMMOSCOPE", Tls(authority=tls.authority).for_calling())
        assert look_into(archive) and fetch(archive)
        peer.misbehave = {"STUDY": drips}
        with pytest.raises(UncertainError, match=r"took more than 0\.5 s"):
            search(archive)
        with archive_of(peer) as unencrypted, pytest.raises(UnavailableError):
            search(unencrypted)


def test_an_archive_without_a_service_says_which() -> None:
    without_get = pytest.raises(UnavailableError, match="offers no C-GET: fetch by C-MOVE, with --move-to")
    with DimsePeer(FIND) as peer, archive_of(peer) as archive, without_get:
        fetch(archive)
    without_find = pytest.raises(UnavailableError, match=r"does not accept Study Root Query/Retrieve .* - FIND")
    with DimsePeer(GET) as peer, archive_of(peer) as archive, without_find:
        search(archive)
    with archive_of(peer) as archive, pytest.raises(UnavailableError, match="cannot be reached"):
        search(archive)


def test_the_destination_of_c_move_takes_nothing_that_was_not_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    destination = MoveDestination(Listening("MAMMOSCOPE", port=0))
    destination.start()
    with destination.expecting(film_uid(0)) as arrival:
        entity = AE("ANYBODY")
        entity.add_requested_context(MAMMOGRAM, "1.2.840.10008.1.2.1")
        association = entity.associate("127.0.0.1", destination.port, ae_title="MAMMOSCOPE")
        assert association.send_c_store(film(1)).Status == 0x0124 and not arrival.is_here
        assert association.send_c_store(film(0)).Status == 0x0000 and arrival.is_here
        assert association.send_c_store(film(0)).Status == 0x0000
    assert association.send_c_store(film(0)).Status == 0x0124  # not any more
    association.release()
    destination.stop()
    assert caplog.text.count("was not asked for") == 2


def test_a_call_ends_when_it_is_interrupted() -> None:
    with DimsePeer() as peer, archive_of(peer) as archive:
        peer.misbehave = {"STUDY": drips}
        failures: list[Exception] = []

        def call() -> None:
            try:
                search(archive)
            except MammoscopeError as error:
                failures.append(error)

        thread = Thread(target=call)
        thread.start()
        while not peer.asked:
            time.sleep(0.01)
        begun = time.monotonic()
        archive.interrupt()
        thread.join(10)
        assert failures and time.monotonic() - begun < 2
        with pytest.raises(UnavailableError, match="is not asked any more"):
            fetch(archive)
