"""Images of one study and patient get a report together, where they are kept; two women never do."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from archive_peer import ArchivePeer
from films import NAME, PATIENT_ID, encoded, film, film_uid
from pacs_process import PacsProcess
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE

from installed import PACKAGES, with_step
from mammoscope.findings import ANALYSED_ALONE, Analysis
from mammoscope.pacs.exam_reports import ExamReports
from mammoscope.pacs.image_place import ImagePlace, key_of
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.whole_exams import Members, WholeExams
from mammoscope.readers.identify import read_exam_key
from mammoscope.writers.dicom.earlier import report_in
from mammoscope.writers.json import read_analysis, write_analysis
from writers.made_analyses import analysis, mammogram

STUDY, OTHER_STUDY = "2.25.47120001", "2.25.47120002"
OTHER_WOMAN = {"PatientName": "OTHERNAME^ANNA", "PatientID": "OTHERID4712"}


def kept(root: Path, number: int, **values: Any) -> str:
    """An image that was analysed, and the name of its folder."""
    values = {"StudyInstanceUID": STUDY, **values}
    place = ImagePlace(root / "files" / key_of(film_uid(number)))
    place.folder.mkdir(parents=True)
    place.image.write_bytes(encoded(film(number, **values)))
    write_analysis(analysis(mammogram()), place.analysis)
    return place.folder.name


def reported(root: Path) -> dict[str, list[str]]:
    """The images that each report is about."""
    return {
        path.name.removesuffix(".exam.json"): sorted(
            Path(view["report"]).parent.name for view in json.loads(path.read_text())["views"]
        )
        for path in (root / "exams").glob("*")
    }


def together(*exams: list[str]) -> dict[str, list[str]]:
    """One report for each exam, named after the first of its images in the order of their names."""
    return {min(exam): sorted(exam) for exam in exams}


def test_reports_grow_with_their_exams_and_survive_a_restart(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    reports = ExamReports(tmp_path)
    images: dict[int, str] = {}

    def add(number: int, **values: Any) -> None:
        images[number] = kept(tmp_path, number, **values)
        reports.add(images[number], read_exam_key(tmp_path / "files" / images[number] / "image.dcm"))

    add(1)
    add(2, StudyInstanceUID=OTHER_STUDY)
    add(3, **OTHER_WOMAN)  # under the first woman's study
    add(4, StudyInstanceUID="")
    add(5, StudyInstanceUID="")
    assert reported(tmp_path) == {}
    add(6)
    assert reported(tmp_path) == together([images[1], images[6]])
    reports.add(images[6], read_exam_key(tmp_path / "files" / images[6] / "image.dcm"))  # analysed again
    assert reported(tmp_path) == together([images[1], images[6]])
    reports = ExamReports(tmp_path)
    add(7)
    add(8, **OTHER_WOMAN)
    exams = [images[1], images[6], images[7]], [images[3], images[8]]
    assert reported(tmp_path) == together(*exams)
    report = json.loads(next((tmp_path / "exams").iterdir()).read_text())
    assert report["not_analysed"] is None  # dead letters of the exam are not known


def test_an_exam_of_which_a_part_is_older_than_a_day_has_one_report_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for number in range(6):
        image = kept(tmp_path, number)
        reports = ExamReports(tmp_path)
        reports.add(image, read_exam_key(tmp_path / "files" / image / "image.dcm"))
        age = time.time() - 90_000 * (number % 2)
        os.utime(ImagePlace(tmp_path / "files" / image).analysis, (age, age))
    assert reported(tmp_path) == together([key_of(film_uid(number)) for number in range(6)])


def test_images_of_before_are_not_parsed_by_the_service_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    first = kept(tmp_path, 1)
    key = read_exam_key(tmp_path / "files" / first / "image.dcm")
    with monkeypatch.context() as patch:
        for module in ("header", "exam_identity"):  # importing them here fails; the decoder's process has its own
            patch.setitem(sys.modules, f"mammoscope.readers.dicom.{module}", None)
        reports = ExamReports(tmp_path)
    second = kept(tmp_path, 2)
    reports.add(second, key)
    assert reported(tmp_path) == together([first, second])


def test_a_report_that_cannot_be_written_is_said_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "files").mkdir()
    reports = ExamReports(tmp_path)
    first, second = kept(tmp_path, 1), kept(tmp_path, 2)
    place = ImagePlace(tmp_path / "files" / second)
    other: Analysis = analysis(mammogram())
    write_analysis(
        other.model_copy(update={"bundle": other.bundle.model_copy(update={"version": "2"})}), place.analysis
    )
    for image in (first, second):
        reports.add(image, "k" * 64)
    assert "no report on its exam: its images were analysed by different models" in caplog.text
    write_analysis(other, place.analysis)
    (tmp_path / "exams").write_text("in the way")
    reports.add(second, "k" * 64)
    assert "cannot be written" in caplog.text and "k" * 64 not in caplog.text


def send(port: int, *datasets: Dataset) -> None:
    entity = AE("MODALITY")
    entity.add_requested_context(datasets[0].SOPClassUID)
    association = entity.associate("127.0.0.1", port, ae_title="MAMMOSCOPE")
    assert [int(association.send_c_store(dataset).Status) for dataset in datasets] == [0] * len(datasets)
    association.release()


def test_a_receiver_that_keeps_images_reports_on_each_womans_exam(tmp_path: Path) -> None:
    anna = [film(number, StudyInstanceUID=STUDY) for number in (1, 2)]
    berta = [film(number, StudyInstanceUID=STUDY, **OTHER_WOMAN) for number in (3, 4)]
    with (
        ArchivePeer() as peer,
        PacsProcess(tmp_path / "pacs", "receive", "--send-to", peer.node, "--port", "0", "--keep") as pacs,
    ):
        send(pacs.port, *(one for pair in zip(anna, berta, strict=True) for one in pair))
        pacs.wait(lambda counts: counts[ImageState.SENT] == 4)
        root, log = pacs.data, pacs.log
        assert pacs.end() == 0
    one, two, three, four = (key_of(film_uid(number)) for number in (1, 2, 3, 4))
    assert reported(root) == together([one, two], [three, four])
    for name, members in reported(root).items():
        document = json.loads((root / "exams" / f"{name}.exam.json").read_text())
        for view, member in zip(document["views"], members, strict=True):
            assert (root / "exams" / view["report"]).resolve() == (root / "files" / member / "analysis.json").resolve()
    reports = b"".join(path.read_bytes() for path in (root / "exams").iterdir())
    names = " ".join(str(path) for path in root.rglob("*")) + log
    for secret in (
        NAME,
        PATIENT_ID,
        *OTHER_WOMAN.values(),
        STUDY,
        *(str(read_exam_key(path)) for path in root.rglob("image.dcm")),
    ):
        assert secret.encode() not in reports and secret not in names


def views(*names: str, first: int = 1, **values: Any) -> list[Dataset]:
    """The same film as so many views of one breast: what is found on them is linked."""
    made = []
    for number, name in enumerate(names, first):
        made.append(film(number, StudyInstanceUID=STUDY, ViewPosition=name, **values))
        del made[-1].ViewCodeSequence
    return made


def key_objects_in(path: Path) -> list[Dataset]:
    return [part for part in dcmread(path).ContentSequence if "ReferencedSOPSequence" in part]


def lesions_in(path: Path) -> dict[str, set[str]]:
    """The lesions that a report on an exam names, and the views that show each."""
    views = {film_uid(number): name for number, name in enumerate(("CC", "MLO", "ML"), start=1)}
    lesions = {}
    for part in dcmread(path).iterall():
        for item in part.value if part.keyword == "ContentSequence" else ():
            if item.ConceptNameCodeSequence[0].CodeValue == "lesion":
                (uid,) = [one.UID for one in item.ContentSequence if one.ValueType == "UIDREF"]
                images = [one.ReferencedSOPSequence[0] for one in item.ContentSequence if one.ValueType == "IMAGE"]
                lesions[str(uid)] = {views[one.ReferencedSOPInstanceUID] for one in images}
    return lesions


def place_of(root: Path, number: int) -> ImagePlace:
    return ImagePlace(root / "files" / key_of(film_uid(number)))


def test_an_exam_is_analysed_when_it_is_whole_and_a_late_view_with_what_is_there(tmp_path: Path) -> None:
    options = ("--port", "0", "--keep", "--ko", "--exam-sr", "--exam-wait", "2", "--threshold", "0.5")
    with (
        ArchivePeer() as peer,
        PacsProcess(tmp_path / "pacs", "receive", "--send-to", peer.node, *options) as pacs,
    ):
        one, other, late = views("CC", "MLO", "ML")
        send(pacs.port, one)
        time.sleep(1)
        assert pacs.counts()[ImageState.RECEIVED] == 1
        send(pacs.port, other, film(4, StudyInstanceUID=STUDY, NumberOfFrames=2))
        pacs.wait(lambda counts: counts[ImageState.SENT] == 2 and counts[ImageState.DEAD] == 1)
        root, before = pacs.data, read_analysis(place_of(pacs.data, 1).analysis)
        send(pacs.port, late)
        pacs.wait(lambda counts: counts[ImageState.SENT] == 3)
        assert "exams are analysed whole, 2 s after" in pacs.log
        assert pacs.end() == 0
    of_exam = [read_analysis(place_of(root, number).analysis) for number in (1, 2, 3)]
    assert of_exam[0] == before  # what was sent stays as it is
    lesions = [sorted(finding.lesion for finding in one.findings if finding.lesion) for one in of_exam]
    assert lesions[0] and lesions[0] == lesions[1] == lesions[2]  # the late view's are called as before
    assert not any(ANALYSED_ALONE in one.warnings for one in of_exam)
    assert list(reported(root).values()) == [sorted(key_of(film_uid(number)) for number in (1, 2, 3))]
    selections = [place_of(root, number).result("ko") for number in (1, 2, 3)]
    assert [path.exists() for path in selections] == [True, False, True]
    # Each image with its report and segmentation, and the exam's; what was selected before stays as it is.
    assert [len(key_objects_in(path)) for path in selections if path.exists()] == [7, 10]
    assert len(peer.stored) == 3 * 2 + 2 + 2
    assert not place_of(root, 2).result("exam").exists()
    first, whole = (report_in(place_of(root, number).result("exam")) for number in (1, 3))
    assert first is not None and whole is not None and {first.reference.sop_instance} < set(peer.stored)
    assert first.of_exam and first.images == {film_uid(1), film_uid(2)} and first.replaces == ()
    unread = [film_uid(4).encode() in place_of(root, number).result("exam").read_bytes() for number in (1, 3)]
    assert unread == [True, False]  # then it is a dead letter
    assert whole.images == {film_uid(1), film_uid(2), film_uid(3)} and whole.replaces == (first.reference,)
    assert whole.reference.series == first.reference.series
    assert lesions_in(place_of(root, 3).result("exam")) == {lesion: {"CC", "MLO", "ML"} for lesion in lesions[0]}


def test_of_an_exam_that_ends_the_process_only_the_image_at_fault_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*sys.path, str(PACKAGES)]))
    deadly = {"name": "deadly", "role": "rescore", "implementation": "deadly-left", "settings": {}}
    bundle = str(with_step(tmp_path / "bundle", deadly))
    options = (
        "--port",
        "0",
        "--keep",
        "--threshold",
        "0.99",
        "--bundle",
        bundle,
        "--attempts",
        "1",
        "--exam-wait",
        "1",
    )
    with (
        ArchivePeer() as peer,
        PacsProcess(tmp_path / "pacs", "receive", "--send-to", peer.node, *options) as pacs,
    ):
        send(pacs.port, *views("CC", first=1, ImageLaterality="L"), *views("CC", first=2, ImageLaterality="R"))
        pacs.wait(lambda counts: counts[ImageState.SENT] == 1 and counts[ImageState.DEAD] == 1)
        root = pacs.data
        assert pacs.end() == 0
    place = place_of(root, 2)
    assert ANALYSED_ALONE in read_analysis(place.analysis).warnings
    assert ANALYSED_ALONE.encode() in place.result("sr").read_bytes()
    assert not place_of(root, 1).analysis.exists()


def received(queue: ImageQueue, number: int, content: bytes | None = None) -> Image:
    queue.admit(film_uid(number), film(number).SOPClassUID, content or encoded(film(number)))
    image = queue.image(film_uid(number))
    assert image is not None
    return image


def test_who_is_in_an_exam_and_how_long_it_waits(tmp_path: Path) -> None:
    queue = ImageQueue(tmp_path, working=True)
    exams, key = WholeExams(queue, 0.3), "k" * 64
    first, second = received(queue, 1), received(queue, 2)
    assert 0.2 < exams.seconds_left(first, key) <= 0.3
    time.sleep(0.2)
    assert exams.seconds_left(second, key) > 0.2 and exams.seconds_left(first, key) > 0.2
    time.sleep(0.3)
    assert exams.seconds_left(first, key) == 0 and exams.seconds_left(first, "another exam") > 0
    assert exams.members(first, key) == Members(due=(second,))
    exams.keep_outcome(second, key, {"outcome": "findings", "results": []})

    changed = received(queue, 2, encoded(film(2, PatientComments="corrected")))
    assert exams.members(first, key) == Members()  # of its new version nothing is known yet
    assert exams.seconds_left(changed, key) > 0.2 and exams.take_outcome(changed, key) is None
    queue.analysed(first, [])
    assert [image.sop_instance for image in exams.members(changed, key).done] == [first.sop_instance]
    queue.place(first).image.unlink()
    assert exams.members(changed, key) == Members(gone=1)
    exams.failed_together(key)
    assert exams.members(changed, key) == Members(gone=1)
    exams.failed_together(key)
    assert exams.seconds_left(received(queue, 3), key) == 0 and exams.members(changed, key) == Members()
    queue.close()


def test_an_exam_is_not_whole_while_images_of_its_study_are_to_be_fetched(tmp_path: Path) -> None:
    queue = ImageQueue(tmp_path, working=True)
    for number in (1, 2):
        queue.find(film_uid(number), film(number).SOPClassUID, STUDY, "2.25.1")
    found = queue.images(ImageState.FOUND)
    queue.fetched(found[0], [encoded(film(1))])
    image = queue.image(film_uid(1))
    assert image is not None
    exams = WholeExams(queue, 0.0)
    assert exams.seconds_left(image, "k" * 64) > 0
    queue.fail(found[1], "the archive lost it")
    assert exams.seconds_left(image, "k" * 64) == 0
    queue.close()
