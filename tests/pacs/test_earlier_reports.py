"""A new report names those that it replaces: as far as the folder remembers them, or the archive still has them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from films import encoded, film, film_uid
from nasty_web import Handler, WebPeer, says
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, MammographyCADSRStorage

from mammoscope.bundle import Bundle
from mammoscope.pacs.analyser import Analyser
from mammoscope.pacs.earlier_reports import EarlierReports
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.late_views import SeenAgain, left_out, with_known_lesions
from mammoscope.pacs.memory import Memory
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.rebuild import rebuild
from mammoscope.pacs.retries import NotYetError
from mammoscope.pacs.settings import Retention
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.web_server import WebServer
from mammoscope.queue.database import Database
from mammoscope.readers import read_mammogram
from mammoscope.writers.dicom.earlier import EarlierReport, Reference, report_in
from mammoscope.writers.dicom.origin import read_origin
from writers.made_analyses import analysis, finding

STUDY = "2.25.4712000000"
CLASS = film(0).SOPClassUID


def message(name: int, *images: int, of_exam: bool = False) -> dict[str, Any]:
    reference = Reference(ComprehensiveSRStorage, STUDY, "2.25.1", f"2.25.9{name}")
    return EarlierReport(reference, frozenset(map(film_uid, images)), of_exam).to_message()


def admitted(queue: ImageQueue, number: int, **values: Any) -> Image:
    queue.admit(film_uid(number), CLASS, encoded(film(number, **values)))
    image = queue.image(film_uid(number))
    assert image is not None
    return image


def sent(queue: ImageQueue, image: Image) -> None:
    queue.analysed(image, [])
    queue.finish(image_of(queue), ImageState.SENT)


def remembered(queue: ImageQueue, number: int) -> list[str]:
    return sorted(one["reference"]["sop_instance"] for one in queue.memory.reports_on(film_uid(number)))


def test_what_a_folder_remembers_of_reports(tmp_path: Path) -> None:
    queue = ImageQueue(tmp_path, working=True)
    first, second = admitted(queue, 1), admitted(queue, 2)
    queue.memory.add_reports(first, [message(1, 1), message(3, 1, 2, of_exam=True)])
    assert remembered(queue, 1) == []  # it may never be sent
    queue.analysed(first, [])
    assert remembered(queue, 1) == ["2.25.91", "2.25.93"] and remembered(queue, 2) == ["2.25.93"]
    changed = admitted(queue, 1, PatientComments="corrected")
    assert remembered(queue, 1) == []  # what was not sent is not sent any more
    queue.memory.add_reports(changed, [message(4, 1)])
    sent(queue, changed)
    assert remembered(queue, 1) == ["2.25.94"]
    admitted(queue, 1, PatientComments="corrected again")
    queue.memory.add_reports(second, [message(2, 2)])
    sent(queue, second)
    assert (remembered(queue, 1), remembered(queue, 2)) == (["2.25.94"], ["2.25.92"])
    assert queue.memory.knows_report("2.25.92") and not queue.memory.knows_report("2.25.95")
    queue.close()

    rebuild(tmp_path)
    queue = ImageQueue(tmp_path, working=True)
    assert (remembered(queue, 1), remembered(queue, 2)) == (["2.25.94"], ["2.25.92"])
    set_back(queue, 10 * 86_400)
    assert queue.ages.apply(Retention(row_days=7)) == 1 and queue.image(film_uid(2)) is None
    assert remembered(queue, 2) == ["2.25.92"]
    queue.close()
    rebuild(tmp_path)
    with closing(ImageQueue(tmp_path, working=True)) as queue:  # what was forgotten is not found anew either
        assert not queue.find(film_uid(2), CLASS, STUDY, "2.25.1") and remembered(queue, 2) == ["2.25.92"]


def set_back(queue: ImageQueue, seconds: float) -> None:
    """Make everything older."""
    database: Database = queue._database
    with database.transaction() as connection:
        connection.execute("UPDATE moments SET arrived = arrived - ?, changed = changed - ?", (seconds, seconds))


@pytest.fixture
def peer() -> Iterator[WebPeer]:
    with WebPeer() as running:
        yield running


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with closing(ImageQueue(tmp_path / "data", working=True)) as queue:
        yield queue.memory


def stored(peer: WebPeer, uid: str, sop_class: str = ComprehensiveSRStorage, **changed: str) -> str:
    """An object of the study that the archive has."""
    peer.add(
        encoded(film(0, SOPInstanceUID=uid, SOPClassUID=sop_class, Modality="SR", StudyInstanceUID=STUDY)), **changed
    )
    return uid


def test_only_what_may_be_ours_is_fetched_and_nothing_stays(
    peer: WebPeer, memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = [stored(peer, "2.25.1"), stored(peer, "2.25.2", Comprehensive3DSRStorage)]
    stored(peer, "1.2.840.3"), stored(peer, "2.25.4", MammographyCADSRStorage), stored(peer, "2.25.5", modality="KO")
    stored(peer, "2.25.91")
    with closing(ImageQueue(tmp_path / "other", working=True)) as queue:
        queue.memory.add_reports(admitted(queue, 1), [message(1, 1)])
        earlier = EarlierReports(DicomWeb(WebServer(peer.url)), queue.memory, 0.1)
        folder = tmp_path / "earlier"
        folder.mkdir()
        (folder / "old.dcm").write_bytes(b"of a process that was killed")
        with earlier.fetched(STUDY, folder):
            there = {str(dcmread(path).SOPInstanceUID) for path in folder.iterdir()}
        assert there == set(ours) and not folder.exists()
    peer.asked.clear()
    monkeypatch.setattr("mammoscope.pacs.earlier_reports._LARGEST_REPORT", 1000)
    with EarlierReports(DicomWeb(WebServer(peer.url)), memory, 0.1).fetched(STUDY, folder):
        assert all(path.stat().st_size < 100_000 and report_in(path) is None for path in folder.iterdir())
    with EarlierReports(DicomWeb(WebServer(peer.url)), memory, 0.1).fetched("2.25.77", folder):
        assert not folder.exists()  # a new study costs one question
    assert len([one for one in peer.asked if "2.25.77" in one]) == 1


@pytest.mark.parametrize("path", ["/instances?", "/instances/2.25.1"])
@pytest.mark.parametrize("status", [404, 405, 500, 403])
def test_an_archive_that_fails_is_asked_again_and_then_done_without(
    path: str, status: int, peer: WebPeer, memory: Memory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stored(peer, "2.25.1")
    peer.misbehave[path] = says(status)
    earlier = EarlierReports(DicomWeb(WebServer(peer.url)), memory, 0.25)
    for _ in range(2):
        with pytest.raises(NotYetError, match="cannot be looked for") as waits, earlier.fetched(STUDY, tmp_path / "x"):
            pass
        assert waits.value.seconds == 0.25
    asked = len(peer.asked)
    with caplog.at_level(logging.WARNING), earlier.fetched(STUDY, tmp_path / "x"):
        assert "new ones do not name them as replaced" in caplog.text
    assert len(peer.asked) > asked
    asked = len(peer.asked)
    with earlier.fetched(STUDY, tmp_path / "x"):  # for ten minutes it is left alone
        assert len(peer.asked) == asked


def test_an_archive_that_drips_is_not_waited_for(
    peer: WebPeer, memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mammoscope.pacs.earlier_reports._FETCH_SECONDS", 0.3)
    stored(peer, "2.25.1")
    content = peer.kept["2.25.1"].content

    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/dicom")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        for start in range(0, len(content), 2000):
            handler.wfile.write(content[start : start + 2000])
            time.sleep(0.05)

    peer.misbehave["/instances/2.25.1"] = drip
    began = time.monotonic()
    earlier = EarlierReports(DicomWeb(WebServer(peer.url)), memory, 0.1)
    with pytest.raises(NotYetError, match=r"takes longer than 0\.3 s"), earlier.fetched(STUDY, tmp_path / "x"):
        pass
    assert time.monotonic() - began < 3 and not (tmp_path / "x").exists()


@pytest.fixture
def analysing(bundle: Bundle) -> Iterator[Callable[..., Any]]:
    """Analyses an image of a queue, and returns its structured report."""
    analysers: dict[Any, Analyser] = {}

    def run(queue: ImageQueue, image: Image, threshold: float, earlier: EarlierReports | None = None) -> EarlierReport:
        key = (id(queue), threshold)
        if key not in analysers:
            analysers[key] = Analyser(queue, bundle.folder, threshold, ("sr",), None, lambda *_: None, earlier=earlier)
        analysers[key](image)
        report = report_in(queue.place(image).result("sr"))
        assert report is not None and report.images == {image.sop_instance} and not report.of_exam
        return report

    yield run
    for analyser in analysers.values():
        analyser.stop()


def test_reports_name_what_they_replace_by_memory_and_by_the_archive(
    analysing: Callable[..., EarlierReport], peer: WebPeer, tmp_path: Path
) -> None:
    with closing(ImageQueue(tmp_path / "one", working=True, keep=True)) as queue:
        image = admitted(queue, 1)
        first = analysing(queue, image, 0.99)
        queue.finish(image_of(queue), ImageState.SENT)
        peer.add(queue.place(image).result("sr").read_bytes())
        changed = admitted(queue, 1, PatientComments="corrected")
        second = analysing(queue, changed, 0.99)
        assert first.replaces == () and second.replaces == (first.reference,)
        queue.finish(image_of(queue), ImageState.SENT)
        peer.add(queue.place(image).result("sr").read_bytes())
        again = admitted(queue, 1)
        third = analysing(queue, again, 0.99)  # as the first, which the second replaced
        assert third.replaces == (second.reference,) and third.reference != first.reference
    with closing(ImageQueue(tmp_path / "other", working=True, keep=True)) as queue:
        earlier = EarlierReports(DicomWeb(WebServer(peer.url)), queue.memory, 0.1)
        image = admitted(queue, 1)
        other = analysing(queue, image, 0.98, earlier)
        assert other.replaces == (second.reference,)  # of which the archive knows that it replaces the first
        assert not queue.place(image).earlier.exists()


def image_of(queue: ImageQueue) -> Image:
    (image,) = queue.images(ImageState.ANALYSED)
    return image


BOX, OTHER_BOX = (10.0, 20.0, 60.0, 90.0), (100.0, 120.0, 160.0, 190.0)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([finding(BOX, lesion="2.25.7")], "2.25.7"),
        ([finding(OTHER_BOX), finding(BOX)], "its own"),  # it was not linked before
        ([finding(OTHER_BOX, lesion="2.25.7")], "2.25.8"),  # and this one was not found
        ([], "2.25.8"),
    ],
)
def test_a_late_view_calls_lesions_as_the_results_of_the_others_do(
    before: list[Any], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(encoded(film(1)))
    image = read_mammogram(path)
    known, now = analysis(image, *before), analysis(image, finding(BOX, lesion="2.25.8"))
    origin = read_origin(path, known)
    late = with_known_lesions(
        analysis(image, finding(BOX, lesion="2.25.8"), finding(BOX)), [SeenAgain(now, known, origin)]
    )
    own = str(origin.uid("finding", len(before)))
    assert [one.lesion for one in late.findings] == [own if expected == "its own" else expected, None]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((0, 0), []),
        ((1, 0), ["1 image of this exam that came earlier is not in this report: no file is kept."]),
        ((0, 2), ["2 images of this exam that came earlier are not in this report: analysed by other settings."]),
    ],
)
def test_what_a_report_on_an_exam_leaves_out_is_said(counts: tuple[int, int], said: list[str]) -> None:
    assert left_out(*counts) == said
