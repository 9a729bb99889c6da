"""Watching and pulling from archives without DICOMweb: nothing is hidden, lost or doubled, and faults are theirs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from films import BIRTH_DATE, NAME, PATIENT_ID, encoded, film, film_uid
from nasty_dimse import DimsePeer, aborts, finds, matching, says, sends
from orthanc import Orthanc, free_port, sources
from pacs_process import PacsProcess
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing as ForProcessing
from typer.testing import CliRunner

from mammoscope.bundle import Bundle
from mammoscope.cli.app import app
from mammoscope.errors import MammoscopeError
from mammoscope.pacs import query
from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.dicom_archive import DicomArchive
from mammoscope.pacs.image_archive import ImageArchive
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import ImageState
from mammoscope.pacs.settings import Node
from mammoscope.pacs.transitions import Transition, TransitionThreads
from mammoscope.pacs.watch import Fetcher, Watch
from mammoscope.peers.listing import Days
from mammoscope.peers.tls import Tls
from mammoscope.readers.source import data_set_sha256
from pacs.kept import Kept

TODAY = datetime.now(UTC).date()
QUICK = ("--every", "0.3", "--since", "2000-01-01", "--pause", "0.1", "--threshold", "0.99", "--hold", "0", "--no-seg")


def archive(peer: DimsePeer) -> DicomArchive:
    return DicomArchive(Node.parse(peer.node), "MAMMOSCOPE", None)


def listed(peer: DimsePeer, days: Days, modality: str | None = "MG") -> tuple[set[str], bool]:
    """What is found, and whether that is said to be all."""
    reading, found = archive(peer).studies(days, modality), set()
    while True:
        try:
            found.add(next(reading).uid)
        except StopIteration as ended:
            return found, ended.value


@contextmanager
def watching(peer: DimsePeer, folder: Path, since: date | None = None) -> Iterator[tuple[Watch, ImageQueue]]:
    queue = ImageQueue(folder, working=True)
    yield Watch(archive(peer), queue, ("MG",), since, Breaker("the archive", 0.01), first_pause=0.01), queue
    queue.close()


@pytest.mark.parametrize(
    ("limit", "studies", "days", "found", "is_whole"),
    [
        (10**6, 0, 1, 0, True),
        (10**6, 100, 9, 100, True),  # a round number, and no limit
        (50, 130, 9, 130, True),
        (50, 130, 1, 50, False),  # no date divides them
        (64, 70, 9, 70, True),
    ],
)
def test_a_limit_that_an_archive_does_not_state_hides_no_study(
    limit: int, studies: int, days: int, found: int, is_whole: bool
) -> None:
    with DimsePeer() as peer:
        peer.limit = limit
        for number in range(studies):
            peer.add_study(number, f"{TODAY - timedelta(days=number % days):%Y%m%d}")
        seen, whole = listed(peer, Days(TODAY - timedelta(days=20)))
        assert (len(seen), whole) == (found, is_whole)


@pytest.mark.parametrize("status", [0xFE00, 0xA700], ids=["cancelled", "out of resources"])
def test_a_limit_that_an_archive_states_hides_no_study(status: int, tmp_path: Path) -> None:
    with DimsePeer() as peer, watching(peer, tmp_path / "data") as (watch, _):
        for number in range(7):
            peer.add_study(number, f"{TODAY - timedelta(days=number % 3):%Y%m%d}")

        def at_most_three(it: DimsePeer, event: Any) -> Iterator[Any]:
            right = matching(it, event.identifier)
            return finds(*right[:3], status=status if len(right) > 3 else 0x0000)(it, event)

        peer.misbehave["STUDY"] = at_most_three
        assert watch.look() == 7


def test_more_matches_than_are_taken_are_cancelled_and_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "_MOST_MATCHES", 10)
    with DimsePeer() as peer:
        for number in range(25):
            peer.add_study(number, f"{TODAY - timedelta(days=number % 9):%Y%m%d}")
        assert len(listed(peer, Days(TODAY - timedelta(days=20)))[0]) == 25


def test_an_archive_that_takes_few_keys_filters_nothing_and_states_no_classes(tmp_path: Path) -> None:
    with DimsePeer() as peer, watching(peer, tmp_path / "data", date(2000, 1, 1)) as (watch, queue):
        peer.takes, peer.filters, peer.states_classes = frozenset({"StudyInstanceUID", "StudyDate"}), False, False
        kept = peer.add(encoded(film(0)))
        peer.kept["ct"] = Kept(kept.study, "1.2.3.4", "1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.2", "CT", kept.day, b"")
        assert watch.look() == 1
        assert [image.sop_instance for image in queue.images(ImageState.FOUND)] == [kept.sop_instance]
        assert watch.look() == 0 and peer.asked.count(("STUDY", "")) == 3  # the first time it is asked twice


def test_a_sweep_finds_what_has_no_date_or_comes_late(tmp_path: Path) -> None:
    with DimsePeer() as peer, watching(peer, tmp_path / "data") as (watch, queue):
        peer.add_study(1, "20010203")
        peer.add_study(2, "")
        assert watch.look() == 0 and watch.sweep() == 0  # what was there before is not new
        peer.add_study(3, "20010203")
        peer.add_study(4, "")
        peer.add_study(5, "", modality="CT")
        assert watch.look() == 0 and watch.sweep() == 2 and watch.sweep() == 0
        assert queue.counts()[ImageState.FOUND] == 2


def test_a_study_on_which_the_archive_fails_keeps_no_other_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with DimsePeer() as peer, watching(peer, tmp_path / "data") as (watch, queue):
        for number in range(4):
            peer.add_study(number, f"{TODAY:%Y%m%d}")

        def fails_on_two(it: DimsePeer, event: Any) -> Iterator[Any]:
            is_at_fault = str(event.identifier.StudyInstanceUID) == "1.2.9.2"
            return (aborts if is_at_fault else finds(*matching(it, event.identifier)))(it, event)

        peer.misbehave["SERIES"] = fails_on_two
        assert watch.look() == 3 and caplog.text.count("is set aside") == 1
        assert queue.memory.studies_set_aside() == 1 and queue.memory.note("last look") is None
        peer.misbehave.clear()
        time.sleep(0.05)
        assert watch.look() == 1 and queue.memory.studies_set_aside() == 0


@pytest.mark.parametrize("uid", ["1.2.00.03", "1.2..5", "1.2.3."])
def test_a_uid_that_is_not_written_as_it_should_be_is_asked_for_as_it_stands(uid: str, tmp_path: Path) -> None:
    with DimsePeer() as peer, watching(peer, tmp_path / "data") as (watch, queue):
        kept = peer.add(encoded(film(0, StudyDate=f"{TODAY:%Y%m%d}")), study=uid)
        assert watch.look() == 1
        (image,) = queue.images(ImageState.FOUND)
        assert (image.study, image.sop_instance) == (uid, kept.sop_instance)
        assert {asked for what, asked in peer.asked if what != "STUDY"} == {uid}


def test_what_does_not_arrive_right_is_fetched_again(tmp_path: Path) -> None:
    with DimsePeer() as peer:
        kept = peer.add(encoded(film(0)))
        queue = ImageQueue(tmp_path / "data", working=True, attempts=3, first_pause=0.01)
        queue.find(kept.sop_instance, kept.sop_class, kept.study, kept.series)
        fetcher = Fetcher(archive(peer), queue, 0.0)
        breaker = Breaker("the archive", 0.01, 0.1)
        threads = TransitionThreads(queue, {ImageState.FOUND: Transition(fetcher, breaker)}, 0.01, lambda *_: None)
        peer.misbehave["GET"] = sends(film(7))
        threads.start()
        while len(peer.asked) < 2:
            time.sleep(0.01)
        peer.misbehave["GET"] = says(0xA701)
        while len(peer.asked) < 4:
            time.sleep(0.01)
        assert queue.counts()[ImageState.FOUND] == 1 and not list((queue.folder / "files").glob("*/*"))
        peer.misbehave.clear()
        while not queue.counts()[ImageState.RECEIVED]:
            time.sleep(0.01)
        threads.stop(fetcher.interrupt)
        (image,) = queue.images(ImageState.RECEIVED)
        assert data_set_sha256(queue.place(image).image.read_bytes()) == data_set_sha256(kept.content)
        queue.close()


def test_an_orthanc_is_watched_without_dicomweb(orthanc: Orthanc, quick_bundle: Bundle, tmp_path: Path) -> None:
    port = free_port()
    options = (*QUICK, "--bundle", str(quick_bundle.folder), "--commit", "--listen", f"127.0.0.1:{port}")
    orthanc.add(encoded(film(0, StudyInstanceUID="2.25.4712")))
    orthanc.add(encoded(film(1, StudyInstanceUID="2.25.4712", SOPClassUID=ForProcessing)))
    with PacsProcess(tmp_path, "watch", orthanc.node, *options) as watching:
        time.sleep(1)
        assert (
            watching.log.count("ended the association on C-FIND; it is retried") == 2 and not watching.counts()["found"]
        )
        orthanc.knows("MAMMOSCOPE", port)
        watching.wait(lambda counts: counts[ImageState.SENT] == 2, 60)
        orthanc.add(encoded(film(2)))
        counts = watching.wait(lambda counts: counts[ImageState.SENT] == 3, 60)
        time.sleep(1)
        assert watching.counts() == counts and sum(counts.values()) == 3
        results = sources(orthanc)
        probe = ["pacs", "probe", orthanc.node, "--results", orthanc.node, "--data", str(watching.data), "--json"]
        probed = json.loads(CliRunner().invoke(app, probe).stdout)
        assert probed["verdict"] == "well" and len(probed["works"]) == 8, probed
        assert watching.end() == 0
    assert results == [("SR", film_uid(number)) for number in range(3)]
    assert not re.search("|".join((*NAME.split("^"), PATIENT_ID, BIRTH_DATE, "Traceback")), watching.log)


@pytest.mark.parametrize("by_move", [False, True])
def test_images_are_pulled_by_their_study(orthanc: Orthanc, tmp_path: Path, by_move: bool) -> None:
    port = free_port()
    orthanc.knows("MAMMOSCOPE")
    orthanc.knows("READER", port)
    moving = ("--move-to", "READER", "--listen", f"127.0.0.1:{port}") if by_move else ()
    orthanc.add(encoded(film(0)))
    study = str(film(0).StudyInstanceUID)
    pulled = CliRunner().invoke(app, ["pacs", "pull", orthanc.node, study, "--out", str(tmp_path), *moving])
    (path,) = tmp_path.glob("*.dcm")
    assert pulled.stdout.strip() == str(path), pulled
    assert data_set_sha256(path.read_bytes()) == data_set_sha256(encoded(film(0)))
    none = CliRunner().invoke(app, ["pacs", "pull", orthanc.node, "1.2.3", "--out", str(tmp_path)])
    assert "has no image of modality MG in study 1.2.3" in str(none.exception)


@pytest.mark.parametrize(
    ("text", "options", "problem"),
    [
        ("http://h/dicom-web", {"move_to": "US"}, "--move-to is for TITLE@host:port"),
        ("http://h/dicom-web", {"speaks_tls": True}, "--tls is for TITLE@host:port"),
        ("A@h:1", {"allow": ["X@10.0.0.7"]}, "give --move-to or --commit as well"),
        ("A@h:1", {"move_to": "SEVENTEENLETTERS1"}, "is not an AE title"),
        ("A@h:1", {"move_to": "US", "listen": "11112"}, "is not an address to listen on"),
        ("A@no.such.host.invalid:1", {"move_to": "US", "listen": "0.0.0.0:1"}, "say who may call with --allow"),
        ("A@h", {}, "is not a DICOM application"),
        ("pacs.example.org", {}, "not the URL of a DICOMweb server"),
    ],
)
def test_what_does_not_fit_an_archive_is_refused(text: str, options: dict[str, object], problem: str) -> None:
    usual = {"speaks_tls": False, "move_to": None, "listen": "127.0.0.1:0", "allow": []}
    with pytest.raises(MammoscopeError, match=re.escape(problem)):
        ImageArchive.parse(text, "MAMMOSCOPE", Tls(), **{**usual, **options})  # type: ignore[arg-type]


def test_where_it_listens_for_others_only_the_archive_may_call() -> None:
    parsed = ImageArchive.parse(
        "A@127.0.0.1:1", "US", Tls(), speaks_tls=False, move_to="US", listen="0.0.0.0:0", allow=()
    )
    assert parsed.destination is not None
    assert parsed.destination.allows("A", "127.0.0.1") and not parsed.destination.allows("A", "10.0.0.7")
