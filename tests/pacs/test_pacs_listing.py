"""No study is hidden by the way in which a server divides its answers into pages."""

from __future__ import annotations

import logging
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from films import encoded, film
from nasty_web import WebPeer, says
from orthanc import Orthanc
from pydicom.dataset import Dataset, FileMetaDataset

from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import ImageState
from mammoscope.pacs.watch import Watch
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.errors import UncertainError
from mammoscope.peers.listing import Days
from mammoscope.peers.web_server import WebServer
from pacs.kept import Kept

STUDIES = 430
TODAY = datetime.now(UTC).date()
MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"


def add(peer: WebPeer, number: int, day: str = f"{TODAY:%Y%m%d}", modality: str = "MG", study: int = -1) -> None:
    uid = f"1.2.9.{number if study < 0 else study}"
    kept = Kept(uid, f"{uid}.1", f"{uid}.1.{number}", MAMMOGRAM, modality, day, b"")
    peer.kept[kept.sop_instance] = kept


def watch(peer: WebPeer | Orthanc, folder: Path, since: date | None = None) -> tuple[Watch, ImageQueue]:
    queue = ImageQueue(folder, working=True)
    server = WebServer(peer.url if isinstance(peer, WebPeer) else peer.web)
    return Watch(DicomWeb(server), queue, ("MG",), since, Breaker("the PACS", 0.01), first_pause=0.01), queue


def listed(peer: WebPeer, days: Days, modality: str | None = "MG") -> tuple[set[str], bool]:
    """What is found, and whether that is said to be all."""
    reading, found = DicomWeb(WebServer(peer.url)).studies(days, modality), set()
    while True:
        try:
            found.add(next(reading).uid)
        except StopIteration as ended:
            return found, ended.value


@pytest.mark.parametrize("paging", ["right", "filtered", "no offset", "same page", "capped"])
@pytest.mark.parametrize("studies", [0, 7, 200])
def test_every_study_is_found(paging: str, studies: int) -> None:
    with WebPeer() as peer:
        peer.paging = paging
        for number in range(studies):
            add(peer, number, f"{TODAY - timedelta(days=number % 9):%Y%m%d}")
            add(peer, number + 1000, f"{TODAY - timedelta(days=number % 9):%Y%m%d}", modality="CT")
        found, is_whole = listed(peer, Days(TODAY - timedelta(days=20)))
        assert (len(found), is_whole) == (studies, True)


@pytest.mark.parametrize(
    ("paging", "found", "is_whole"),
    [
        ("right", 430, True),
        ("filtered", 430, True),
        ("capped", 430, True),
        ("no offset", 200, False),
        ("same page", 200, False),
    ],
)
def test_where_no_date_divides_them_it_is_known_whether_all_are_found(paging: str, found: int, is_whole: bool) -> None:
    with WebPeer() as peer:
        peer.paging = paging
        for number in range(STUDIES):
            add(peer, number)
        seen, whole = listed(peer, Days(TODAY - timedelta(days=2)))
        assert (len(seen), whole) == (found, is_whole)


def test_a_list_that_cannot_be_read_to_its_end_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("listing", "dicomweb"):
        monkeypatch.setattr(f"mammoscope.peers.{module}.PAGE", 5)
    with WebPeer() as peer:
        peer.paging = "no offset"
        for number in range(8):
            add(peer, number)
        looking, queue = watch(peer, tmp_path / "data")
        assert (looking.look(), looking.look()) == (5, 0)
        assert caplog.text.count("cannot be read to its end") == 1
        peer.paging = "right"
        assert looking.look() == 3
        queue.close()


@pytest.mark.parametrize("since", [None, TODAY - timedelta(days=1)])
def test_a_sweep_finds_what_has_no_date_or_comes_late(since: date | None, tmp_path: Path) -> None:
    with WebPeer() as peer:
        add(peer, 1, "20010203")
        add(peer, 2, "")
        looking, queue = watch(peer, tmp_path / "data", since)
        undated = 0 if since is None else 1  # what was there before is not new, unless a day was given
        assert looking.look() == 0 and looking.sweep() == undated
        assert looking.sweep() == 0
        add(peer, 3, "20010203")  # archived late
        add(peer, 4, "")
        add(peer, 5, "2001.02.03")
        add(peer, 6, "20990101")
        add(peer, 7, "", modality="CT")
        assert looking.look() == 1  # the one of the future
        assert looking.sweep() == (3 if since is None else 2)
        assert looking.sweep() == 0 and queue.counts()[ImageState.FOUND] == undated + 1 + (3 if since is None else 2)
        add(peer, 8, "20010203", study=1)  # a study of before has grown
        assert looking.sweep() == (2 if since is None else 0)
        queue.close()


def test_a_study_on_which_the_server_fails_keeps_no_other_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with WebPeer() as peer:
        for number in range(20):
            add(peer, number)
        for number in (0, 1):
            peer.misbehave[f"/1.2.9.{number}/instances"] = says(503)
        looking, queue = watch(peer, tmp_path / "data")
        assert looking.look() == 18 and caplog.text.count("is set aside") == 2
        assert queue.memory.note("last look") is None
        peer.misbehave.clear()
        time.sleep(0.05)
        assert looking.look() == 2 and queue.memory.note("last look") is not None
        queue.close()


def test_instances_beyond_a_page_are_found(tmp_path: Path) -> None:
    with WebPeer() as peer:
        for number in range(250):
            add(peer, number, study=1)
        for peer.paging in ("right", "same page", "no offset"):
            found, is_whole = DicomWeb(WebServer(peer.url)).instances("1.2.9.1", "MG")
            assert (len(found), is_whole) == ((250, True) if peer.paging == "right" else (200, False))


def test_no_list_at_all_is_the_servers_fault(tmp_path: Path) -> None:
    with WebPeer() as peer:
        peer.misbehave["/studies?"] = says(200, b"[null]")
        looking, queue = watch(peer, tmp_path / "data")
        with pytest.raises(UncertainError):
            looking.look()
        queue.close()


@pytest.mark.load
def test_430_studies_of_an_orthanc(orthanc: Orthanc, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for number in range(STUDIES):
        orthanc.add(tiny(number, f"{TODAY - timedelta(days=number % 2):%Y%m%d}" if number >= 10 else ""))
    orthanc.add(encoded(film(0)))  # of the year 2000
    looking, queue = watch(orthanc, tmp_path / "data")
    begun = time.monotonic()
    assert looking.look() == STUDIES - 10
    seconds = time.monotonic() - begun
    assert looking.sweep() == 0  # what has no date was there before
    orthanc.add(tiny(STUDIES, ""))
    orthanc.add(tiny(STUDIES + 1, "19990101"))
    assert looking.look() == 0 and looking.sweep() == 2
    assert "cannot be read to its end" not in caplog.text
    everything = list(DicomWeb(WebServer(orthanc.web)).studies(Days(), "MG"))
    seen = len({study.uid for study in everything})
    sys.stdout.write(f"\n{seen} of {STUDIES + 3} studies seen, the first look in {seconds:.1f} s\n")
    assert seen == STUDIES + 3
    queue.close()


def tiny(number: int, day: str) -> bytes:
    """A mammogram's header without pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MAMMOGRAM
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.10{number:05d}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"2.25.20{number:05d}", f"2.25.30{number:05d}"
    dataset.Modality, dataset.StudyDate, dataset.PatientID = "MG", day, f"made up {number}"
    return encoded(dataset)
