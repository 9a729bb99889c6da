"""A UID is the archive's key: it passes every door as the archive has it; what is none is not dropped in silence."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pydicom
import pytest
from films import encoded, film
from pydicom.dataset import Dataset
from test_pacs_receive import associate

from mammoscope.deidentify import deidentify_files
from mammoscope.pacs.analysis_process import _identity
from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import ImageState
from mammoscope.pacs.receiver import CANNOT_UNDERSTAND, SUCCESS, Receiver
from mammoscope.pacs.watch import Watch
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.web_server import WebServer
from mammoscope.readers import read_mammogram
from mammoscope.readers.exam_key import RUN_SECRET
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.readers.uids import is_standard_uid, kept_uid
from mammoscope.writers.dicom.results import ResultKind, dicom_results, write_result
from writers.made_analyses import analysis, finding

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:.*UID.*")
Receiving = Callable[..., tuple[Receiver, ImageQueue]]

ODD = ["1.2.840.00113.07.1", "01.2.3", "1.2..3", "1.2.3.", ".1.2", "0", "1" * 64]


@pytest.mark.parametrize(
    ("value", "uid"),
    [
        *((uid, uid) for uid in ODD),
        ("1.2.3 ", "1.2.3"),
        ("1.2.3\0", "1.2.3"),
        (" 1.2.3\0 ", "1.2.3"),
        ("1" * 65, None),
        ("1.2.3a", None),
        ("1.2 .3", None),
        ("1.2\n.3", None),
        ("..", None),
        (".", None),
        ("", None),
        (None, None),
        (7, None),
        (["1.2"], None),
    ],
)
def test_a_uid_is_what_archives_keep_as_one(value: object, uid: str | None) -> None:
    assert kept_uid(value) == uid


@pytest.mark.parametrize("uid", ["1.2.3", "0", "2.25.0", "1.0.3", "1" * 64])
def test_what_the_standard_allows_is_not_warned_of(uid: str) -> None:
    assert kept_uid(uid) == uid and is_standard_uid(uid)


def odd_film(suffix: str = "", **values: Any) -> Dataset:
    return film(
        1,
        **{
            "SOPInstanceUID": f"1.2.840.007.1{suffix}",
            "SeriesInstanceUID": f"1.2.840.008.1{suffix}",
            "StudyInstanceUID": f"1.2.840.009.1{suffix}",
            **values,
        },
    )


def written(path: Path, dataset: Dataset) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about what is tested here
        path.write_bytes(encoded(dataset))
    return path


@pytest.mark.parametrize("suffix", ["", " "], ids=["leading zeros", "padded"])
def test_results_lie_where_the_image_lies(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / "a.dcm", odd_film(suffix))
    read = read_mammogram(path)
    assert read.sop_instance_uid == "1.2.840.007.1"
    assert any(
        told.startswith("SOPInstanceUID (0008,0018) is '1.2.840.007.1', which is not written as a UID should be")
        for told in read.warnings
    )
    found = analysis(read, finding((100.0, 120.0, 180.0, 230.0), 0.8))
    results = dicom_results(found, path, [ResultKind.SR, ResultKind.SEG])
    for kind, result in results.items():
        write_result(tmp_path / f"{kind.value}.dcm", result)
        again = pydicom.dcmread(tmp_path / f"{kind.value}.dcm")
        assert again.StudyInstanceUID == "1.2.840.009.1"
        assert "1.2.840.007.1" in again.to_json() and "1.2.840.008.1" in again.to_json()
    identity = _identity(path, DEFAULT_LIMITS, RUN_SECRET)
    assert identity["sop_instance"] == "1.2.840.007.1"


def test_a_uid_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    read = read_mammogram(written(tmp_path / "a.dcm", film(1, SOPInstanceUID="none.of.them")))
    assert read.sop_instance_uid is None
    assert any("which is not a valid UID: not used." in told for told in read.warnings)


def test_one_study_stays_one_exam(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{i}.dcm", odd_film(suffix)) for i, suffix in enumerate(("", " "))]
    assert len({read_mammogram(path).exam_key for path in paths}) == 1


@pytest.mark.parametrize(
    ("changes", "notes"),
    [
        ({}, 3),
        ({"StudyInstanceUID": "no uid"}, 3),
        ({"StudyInstanceUID": "1" * 65, "SeriesInstanceUID": "x"}, 3),
        ({"StudyInstanceUID": "2.25.1", "SeriesInstanceUID": "2.25.2", "SOPInstanceUID": "2.25.3"}, 0),
    ],
)
def test_deidentified_images_keep_their_study_and_series(tmp_path: Path, changes: dict[str, str], notes: int) -> None:
    first = written(tmp_path / "a.dcm", odd_film(**changes))
    second = written(tmp_path / "b.dcm", odd_film(**{**changes, "SOPInstanceUID": "1.2.840.007.2"}))
    done = list(deidentify_files([first, second], tmp_path / "out"))
    assert [item.error for item in done] == [None, None]
    assert len(done[0].notes) == notes and all("UID" in note and "1.2.840" not in note for note in done[0].notes)
    a, b = (pydicom.dcmread(str(item.written)) for item in done)
    assert a.StudyInstanceUID == b.StudyInstanceUID and a.SeriesInstanceUID == b.SeriesInstanceUID
    assert a.SOPInstanceUID != b.SOPInstanceUID
    assert all(is_standard_uid(uid) for uid in (a.StudyInstanceUID, a.SeriesInstanceUID, a.SOPInstanceUID))
    assert "1.2.840.00" not in a.to_json()


@pytest.mark.parametrize("uid", ["1.2.840.007.1", "1.2..3", "1.2.840.007.1 "])
def test_an_image_is_received_under_the_uid_that_it_has(
    receiving: Receiving, caplog: pytest.LogCaptureFixture, uid: str
) -> None:
    receiver, queue = receiving()
    association = associate(receiver)
    with caplog.at_level(logging.WARNING):
        assert association.send_c_store(odd_film(SOPInstanceUID=uid)).Status == SUCCESS
        assert association.send_c_store(odd_film(SOPInstanceUID=uid)).Status == SUCCESS
    association.release()
    (image,) = queue.images(ImageState.RECEIVED)
    assert image.sop_instance == uid.strip()
    told = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("mammoscope"))
    assert "not written as a UID should be" in told and uid.strip() not in told
    assert _identity(queue.place(image).image, DEFAULT_LIMITS, RUN_SECRET)["sop_instance"] == image.sop_instance


def test_an_image_whose_uid_is_none_is_refused_with_a_line(
    receiving: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    receiver, queue = receiving()
    association = associate(receiver)
    assert association.send_c_store(odd_film(SOPInstanceUID="no.uid")).Status == CANNOT_UNDERSTAND
    association.release()
    assert not queue.images(ImageState.RECEIVED) and "was refused: its SOP Instance UID is none" in caplog.text


@pytest.fixture
def archive() -> Iterator[tuple[str, dict[str, list[dict[str, Any]]]]]:
    """The address of a server, and what it answers to searches: the items by the end of their path."""
    found: dict[str, list[dict[str, Any]]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            items = [] if "offset=0" not in query and "offset" in query else found.get(path.rpartition("/")[2], [])
            body = json.dumps(items).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", found
        server.shutdown()


def _item(**values: str) -> dict[str, Any]:
    return {f"{pydicom.datadict.tag_for_keyword(name):08X}": {"vr": "UI", "Value": [v]} for name, v in values.items()}


def _instance(uid: str) -> dict[str, Any]:
    return _item(SOPInstanceUID=uid, SeriesInstanceUID="1.2.008", SOPClassUID=str(film(1).SOPClassUID))


def test_watching_finds_images_under_the_uids_that_they_have(
    archive: tuple[str, dict[str, list[dict[str, Any]]]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, found = archive
    found["studies"] = [_item(StudyInstanceUID="1.2.007 "), _item(StudyInstanceUID="none")]
    found["instances"] = [_instance(uid) for uid in ("1.2.03", "1.2.4", "1..5", "1.2.6 ", "1" * 65)]
    queue = ImageQueue(tmp_path, working=True)
    watch = Watch(DicomWeb(WebServer(url)), queue, ("MG",), None, Breaker("the PACS", 0.01), first_pause=0.01)
    with caplog.at_level(logging.WARNING):
        assert watch.look() == 4
        assert watch.look() == 0
    images = queue.images(ImageState.FOUND)
    assert [(image.sop_instance, image.study, image.series) for image in images] == [
        (uid, "1.2.007", "1.2.008") for uid in ("1.2.03", "1.2.4", "1..5", "1.2.6")
    ]
    assert "1 images of a study are left out" in caplog.text and "1 studies are left out" in caplog.text
    assert caplog.text.count("not written as a UID should be") == 4
    queue.close()
