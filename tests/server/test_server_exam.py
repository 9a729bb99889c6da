"""An exam from upload to report, on a server in a process of its own."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pypdf
import pytest
from server_process import Server

from mammoscope import NOTICE
from mammoscope.bundle import Bundle
from mammoscope.findings import Analysis
from mammoscope.pipeline import examine, examine_views
from mammoscope.readers import read_mammogram
from mammoscope.server import ServerSettings
from mammoscope.server.dicom_archive import KINDS
from mammoscope.writers.dicom.earlier import report_of
from mammoscope.writers.dicom.results import ResultKind, dicom_results

VIEWS = ("R-CC", "L-CC", "R-MLO", "L-MLO")


@pytest.fixture(scope="module")
def done(server: Server, exam: Path) -> tuple[str, dict[str, Any]]:
    """The phantom's four views and a broken file, analysed: id and status."""
    uploads = [(f"{view}.dcm", (exam / f"phantom-{view}.dcm").read_bytes()) for view in VIEWS]
    uploads.insert(2, ("broken.dcm", uploads[0][1][:100_000]))
    analysis = server.upload(uploads)
    return analysis, server.wait(analysis)


def without_seconds(analysis: Analysis) -> Analysis:
    return analysis.model_copy(update={"seconds": {}})


def test_a_broken_file_fails_alone(done: tuple[str, dict[str, Any]]) -> None:
    _, status = done
    assert status["state"] == "done" and status["progress"] == 1
    assert [file["state"] for file in status["files"]] == ["done", "done", "failed", "done", "done"]
    assert [file["result"] for file in status["files"]] == [0, 1, None, 2, 3]
    broken = status["files"][2]
    assert broken["name"] == "broken.dcm" and "cut off" in broken["error"] and broken["view"] is None


def test_results_are_those_of_the_pipeline(
    server: Server, done: tuple[str, dict[str, Any]], exam: Path, quick_bundle: Bundle
) -> None:
    analysis, status = done
    results = server.client.get(f"/analyses/{analysis}/result").json()
    assert len(results) == len(VIEWS)
    mammograms = [read_mammogram(exam / f"phantom-{view}.dcm") for view in VIEWS]
    examined = examine_views(mammograms, quick_bundle, threshold=ServerSettings().floor)
    for number, (view, mammogram) in enumerate(zip(VIEWS, mammograms, strict=True)):
        expected, prepared = examined[number]
        found = Analysis.model_validate(results[number])
        named = expected.model_copy(update={"input": expected.input.model_copy(update={"name": view})})
        assert without_seconds(found) == without_seconds(named)
        file = next(file for file in status["files"] if file["result"] == number)
        shown = file["view"]
        assert prepared is not None
        assert shown["preprocessed"]["from_original"] == {
            name: getattr(prepared.from_original, name) for name in ("scale_x", "shift_x", "scale_y", "shift_y")
        }
        reach = prepared.mask.shape[1] - prepared.mask[:, ::-1].argmax(axis=1)
        tip = round(shown["preprocessed"]["tip_row"] - prepared.from_original.inverse().shift_y)
        assert reach[tip] * prepared.mask[tip].any() > 0.98 * (reach * prepared.mask.any(axis=1)).max()
        assert (shown["laterality"], shown["view"]) == (mammogram.laterality, mammogram.view)
        assert shown["spacing"] == results[number]["input"]["spacing"]
        images = f"/analyses/{analysis}/files/{file['number']}"
        original = server.client.get(f"{images}/original")
        assert original.headers["content-type"] == "application/octet-stream"
        pixels = np.frombuffer(original.content, "<u2").reshape(shown["rows"], shown["columns"])
        np.testing.assert_array_equal(pixels, mammogram.pixels)
        png = server.client.get(f"{images}/preprocessed")
        assert png.headers["content-type"] == "image/png"
        np.testing.assert_array_equal(
            cv2.imdecode(np.frombuffer(png.content, np.uint8), cv2.IMREAD_UNCHANGED),
            quick_bundle.shown_contrast.apply(prepared.pixels),
        )


def test_candidates_above_a_threshold_are_those_of_an_analysis_at_it(exam: Path, quick_bundle: Bundle) -> None:
    mammogram = read_mammogram(exam / "phantom-L-CC.dcm")
    everything = examine(mammogram, quick_bundle, threshold=quick_bundle.floor).analysis
    for threshold in (0.3, 1.0):
        expected = examine(mammogram, quick_bundle, threshold=threshold).analysis
        found = everything.above(threshold)
        assert (found.outcome, found.statement, found.thresholds) == (
            expected.outcome,
            expected.statement,
            expected.thresholds,
        )
        assert [finding.box for finding in found.findings] == [finding.box for finding in expected.findings]


def test_the_overlay_follows_the_threshold_and_names_nobody(server: Server, done: tuple[str, dict[str, Any]]) -> None:
    overlay = f"/analyses/{done[0]}/files/1/overlay"
    low, high = (server.client.get(overlay, params={"threshold": value}) for value in (0, 1))
    assert low.headers["content-disposition"] == 'attachment; filename="mammoscope-2-L-CC.overlay.png"'
    pictures = [
        cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).astype(int) for answer in (low, high)
    ]
    coloured = [int((picture.max(axis=2) - picture.min(axis=2) > 100).sum()) for picture in pictures]
    assert coloured[0] > 2 * coloured[1]
    assert server.client.get(overlay, params={"threshold": 2}).status_code == 422


def test_the_report_is_one_page_that_says_what_counts(server: Server, done: tuple[str, dict[str, Any]]) -> None:
    record = {
        "threshold": 0.03,
        "impression": "Größe <b>unklar</b> & \x07weiter\n" + "A very long impression. " * 150,
        "verdicts": [{"file": 1, "finding": 0, "verdict": "rejected", "reason": "Lymphknoten " * 12}],
        "assessments": [{"of": "left", "birads": "4A", "density": "C"}, {"of": "right", "birads": "2"}],
        "drawn": [{"file": 4, "outline": [[600, 700], [700, 700], [-50, 800]]}],
    }
    answer = server.client.post(f"/analyses/{done[0]}/report", json=record)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/pdf", answer.text
    pdf = pypdf.PdfReader(io.BytesIO(answer.content))
    assert len(pdf.pages) == 1
    text = " ".join(pdf.pages[0].extract_text().split())
    bundle = server.client.get("/health").json()["bundle"]["sha256"]
    for expected in (
        NOTICE,
        "rejected: Lymphknoten",
        "left BI-RADS 4A density C; right BI-RADS 2",
        "drawn by the reader",
        "Größe <b>unklar</b> &",
        "R CC",
        "L MLO",
        bundle,
    ):
        assert expected in text, expected
    assert "broken" not in text
    assert len(pdf.pages[0].images) == len(VIEWS)


def test_dicom_results_of_the_models_can_be_taken_away(
    server: Server, done: tuple[str, dict[str, Any]], exam: Path
) -> None:
    threshold = 0.1
    answer = server.client.post(f"/analyses/{done[0]}/dicom", json={"threshold": threshold})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/zip", answer.text
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    analyses = {file["number"]: file for file in done[1]["files"] if file["state"] == "done"}
    assert {name.split(".")[-2] for name in archive.namelist() if name.endswith(".dcm")} == {"sr", "seg", "gsps"}
    reports = [name for name in archive.namelist() if name.endswith("sr.dcm") and "exam" not in name]
    assert len(reports) == len(analyses) == len(VIEWS)
    written = {pydicom.dcmread(io.BytesIO(archive.read(name))).SOPInstanceUID for name in reports}
    results = [Analysis.model_validate(one) for one in server.client.get(f"/analyses/{done[0]}/result").json()]
    expected = {
        dicom_results(one.above(threshold), exam / f"phantom-{view}.dcm", KINDS)[ResultKind.SR].SOPInstanceUID
        for one in results
        if (view := one.input.name.removesuffix(".dcm")) in VIEWS
    }
    assert written == expected
    whole = report_of(pydicom.dcmread(io.BytesIO(archive.read("mammoscope-exam.sr.dcm"))))
    assert whole is not None and whole.of_exam and len(whole.images) == len(VIEWS)
    text = archive.read("README.txt").decode()
    assert NOTICE in text and "0.1000 or more" in text  # the lowest that the server holds
    assert "Mammoscope-Without-Results" not in answer.headers


def test_an_image_without_a_study_has_no_dicom_results(server: Server, exam: Path, tmp_path: Path) -> None:
    grey = cv2.imencode(".png", np.full((64, 64), 7, np.uint8))[1].tobytes()
    picture = server.upload([("a.png", grey)])
    server.wait_for_file(picture, 0, "done")
    refused = server.client.post(f"/analyses/{picture}/dicom", json={"threshold": 0.5})
    assert refused.status_code == 409
    assert refused.json()["detail"] == "no image has DICOM results: image 1: is a PNG file, which has no study"


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdicts": [{"file": 1, "finding": 99, "verdict": "accepted"}]},
        {"verdicts": [{"file": 2, "finding": 0, "verdict": "accepted"}]},
        {"drawn": [{"file": 7, "outline": [[1, 1], [2, 2], [3, 3]]}]},
        {"drawn": [{"file": 1, "outline": [[1, 1], [2, 2]]}]},
        {"threshold": 1.5},
        {"impression": "x" * 5000},
        {"unknown": 1},
    ],
)
def test_a_record_that_does_not_fit_is_refused(
    server: Server, done: tuple[str, dict[str, Any]], wrong: dict[str, Any]
) -> None:
    answer = server.client.post(f"/analyses/{done[0]}/report", json={"threshold": 0.5} | wrong)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_all_views_show_before_an_analysis_ends(server: Server, exam: Path) -> None:
    analysis = server.upload([(f"{view}.dcm", (exam / f"phantom-{view}.dcm").read_bytes()) for view in VIEWS[:3]])
    file = server.wait_for_file(analysis, 0, "analysing", "done")
    status = server.status(analysis)
    for number, shown in enumerate(status["files"]):
        assert shown["view"]["view"] == VIEWS[number][2:]
        assert server.client.get(f"/analyses/{analysis}/files/{number}/original").status_code == 200
    if file["state"] == "analysing":
        assert file["view"]["preprocessed"] is None and status["state"] == "running"
        assert server.client.get(f"/analyses/{analysis}/result").status_code == 409
        assert server.client.get(f"/analyses/{analysis}/files/2/overlay").status_code == 409
        assert server.client.post(f"/analyses/{analysis}/report", json={"threshold": 0.5}).status_code == 409
    assert server.client.delete(f"/analyses/{analysis}").status_code == 204


def test_progress_grows_through_the_analysis(server: Server, exam: Path) -> None:
    analysis = server.upload([("a.dcm", (exam / "phantom-L-CC.dcm").read_bytes())])
    seen = [0.0]
    while seen[-1] < 1:
        progress = server.status(analysis)["files"][0]["progress"]
        assert progress >= seen[-1]
        seen.append(progress)
        time.sleep(0.01)
    assert len({progress for progress in seen if 0.4 < progress < 1}) > 1
    assert server.client.delete(f"/analyses/{analysis}").status_code == 204


def test_a_zip_of_an_exam_is_an_exam(server: Server, exam: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(exam / "phantom-R-CC.dcm", "exam/R/phantom-R-CC.dcm")
        archive.write(exam / "truth.json", "exam/truth.json")
        archive.write(exam / "phantom-L-CC.dcm", "../../exam/L/phantom-L-CC")
    status = server.wait(server.upload([("exam.zip", content.getvalue())]))
    assert [(file["name"], file["state"]) for file in status["files"]] == [
        ("phantom-R-CC.dcm", "done"),
        ("phantom-L-CC", "done"),
    ]


def test_only_broken_files_make_a_failed_analysis(server: Server) -> None:
    analysis = server.upload([("letter.dcm", b"dear radiologist"), ("empty.png", b"")])
    status = server.wait(analysis)
    assert status["state"] == "failed" and all(file["error"] for file in status["files"])
    assert server.client.get(f"/analyses/{analysis}/result").json() == []
    assert server.client.post(f"/analyses/{analysis}/report", json={"threshold": 0.5}).status_code == 409


def test_whose_exam_it_is_is_shown_to_who_reads_it_and_goes_nowhere_else(server: Server, exam: Path) -> None:
    script, secret = "<script>alert('Nobody')</script>", "ZZSECRET"
    dataset = pydicom.dcmread(exam / "phantom-L-CC.dcm")
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = f"{script}^Ottilie", secret, "19391231"
    dataset.StudyDate, dataset.AccessionNumber, dataset.StudyDescription = "2026.01.31", "ACC77310", "Screening"
    content = io.BytesIO()
    dataset.save_as(content)
    analysis = server.upload([("name.dcm", content.getvalue()), ("broken.dcm", b"no")])
    expected = {
        "name": f"{script}, Ottilie", "patient_id": secret, "birth_date": "1939-12-31", "study_date": "2026-01-31",
        "accession_number": "ACC77310", "description": "Screening",
    }  # fmt: skip
    assert server.wait(analysis)["patient"] == expected
    base = f"/analyses/{analysis}"
    status, result, overlay, report = (
        *(server.client.get(f"{base}{path}") for path in ("", "/result", "/files/0/overlay")),
        server.client.post(f"{base}/report", json={"threshold": 0.03}),
    )
    text = " ".join(pypdf.PdfReader(io.BytesIO(report.content)).pages[0].extract_text().split())
    assert all(value in text for value in expected.values()), text
    hidden = [
        *(part for answer in (status, result, overlay, report) for part in (str(answer.url), str(answer.headers))),
        *(result.text, server.log),
        *(str(path) for path in server.temporary.rglob("*")),
        *(path.read_bytes().decode("latin-1") for path in server.temporary.rglob("state.sqlite*")),
    ]
    for where in hidden:
        assert not [value for value in expected.values() if value != "2026-01-31" and value in where]
    assert f"analysis {analysis}: 2 files" in server.log
    others = [one["patient"] for one in server.client.get("/analyses").json() if one["id"] != analysis]
    assert expected not in others
    assert server.client.delete(base).status_code == 204
    assert not list(server.temporary.rglob(f"{analysis}*"))
