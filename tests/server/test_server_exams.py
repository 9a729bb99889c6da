"""Files that are sent together are parted into exams: two women never share one, nor a report."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdf
import pytest
from fastapi.testclient import TestClient

from exams.two_women import ANNA, BERTA, OTHER_STUDY, STUDY, VIEWS, four_views, image, picture
from mammoscope.bundle import Bundle
from mammoscope.readers.identify import read_exam_key
from mammoscope.server.exam_status import VOUCHED
from server.server_process import Server

Idle = Callable[..., TestClient]

ANALYSES = "/api/v1/analyses"
NAMING = ("upload", "identity.json")  # files that name the patient: until the exam is deleted
NAMES = [f"{side}-{view}.dcm" for side, view in VIEWS]


def form(paths: list[Path]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (path.name, path.read_bytes())) for path in paths]


def exams_of(client: TestClient, paths: list[Path]) -> list[dict[str, Any]]:
    """The exams that an upload became, as the list shows them."""
    answer = client.post(ANALYSES, files=form(paths))
    assert answer.status_code == 202, answer.text
    created = answer.json()
    listed = client.get(ANALYSES).json()[: len(created["exams"])]
    assert [exam["id"] for exam in listed] == [exam["id"] for exam in created["exams"]]
    assert created["id"] == listed[0]["id"] and answer.headers["location"] == f"{ANALYSES}/{created['id']}"
    return [exam | {"parts": made["parts"]} for exam, made in zip(listed, created["exams"], strict=True)]


def names_of(exams: list[dict[str, Any]]) -> list[list[str]]:
    return [[file["name"] for file in exam["files"]] for exam in exams]


def test_two_women_that_are_dropped_together_are_two_exams(idle: Idle, tmp_path: Path) -> None:
    anna, berta = four_views(tmp_path / "anna", ANNA, "a-"), four_views(tmp_path / "berta", BERTA, "b-")
    dropped = [path for pair in zip(anna, berta, strict=True) for path in pair]
    client = idle()
    exams = exams_of(client, dropped)
    assert names_of(exams) == [[f"a-{name}" for name in NAMES], [f"b-{name}" for name in NAMES]]
    assert [exam["parts"] for exam in exams] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert [[file["number"] for file in exam["files"]] for exam in exams] == [[0, 1, 2, 3]] * 2
    assert [exam["warnings"] for exam in exams] == [[], []]
    folder = tmp_path / "data" / "files"
    for exam, sent in zip(exams, (anna, berta), strict=True):
        kept = [folder / exam["id"] / str(number) / "upload" for number in range(4)]
        assert [path.read_bytes() for path in kept] == [path.read_bytes() for path in sent]
    assert client.delete(f"{ANALYSES}/{exams[0]['id']}").status_code == 204
    assert [path.name for path in folder.iterdir()] == [exams[1]["id"]]


def test_a_zip_of_two_women_is_two_exams(idle: Idle, tmp_path: Path) -> None:
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        for woman, name in ((ANNA, "anna"), (BERTA, "berta")):
            for path in four_views(tmp_path / name, woman):
                writer.write(path, f"export/{path.name}-{name}")  # in one folder
    more = image(tmp_path / "more.dcm", BERTA)
    exams = exams_of(idle(), [archive, more])
    assert names_of(exams) == [[f"{name}-anna" for name in NAMES], [*(f"{name}-berta" for name in NAMES), "more.dcm"]]
    assert [exam["parts"] for exam in exams] == [[0], [0, 1]]


@pytest.mark.parametrize(
    "other",
    [
        {**BERTA, "StudyInstanceUID": STUDY},  # a study that two women state
        {**ANNA, "StudyInstanceUID": OTHER_STUDY},  # her next exam
        {**ANNA, "PatientID": None},
        {**ANNA, "StudyInstanceUID": None},
    ],
)
def test_what_differs_in_study_or_patient_is_two_exams(idle: Idle, tmp_path: Path, other: dict[str, Any]) -> None:
    first, second = image(tmp_path / "first.dcm", ANNA), image(tmp_path / "second.dcm", other)
    exams = exams_of(idle(), [first, second, image(tmp_path / "third.dcm", ANNA, "R")])
    assert names_of(exams) == [["first.dcm", "third.dcm"], ["second.dcm"]]


def test_images_without_a_study_are_one_exam_with_a_warning_and_only_without_dicom_files(
    idle: Idle, tmp_path: Path
) -> None:
    pictures = [picture(tmp_path / f"{name}.png") for name in ("a", "b", "c")]
    client = idle()
    (exam,) = exams_of(client, pictures)
    assert names_of([exam]) == [["a.png", "b.png", "c.png"]] and exam["warnings"] == [VOUCHED]
    exams = exams_of(
        client, [pictures[0], image(tmp_path / "d.dcm", ANNA), pictures[1], image(tmp_path / "e.dcm", ANNA)]
    )
    assert names_of(exams) == [["a.png"], ["d.dcm", "e.dcm"], ["b.png"]]
    assert not any(exam["warnings"] for exam in exams)


def test_images_without_a_study_are_apart_where_they_are_of_several_folders_or_archives(
    idle: Idle, tmp_path: Path
) -> None:
    content = picture(tmp_path / "a.png").read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for name in ("anna/1.png", "berta/2.png", "anna/3.png"):
            writer.writestr(name, content)
    sent = [
        ("anna/a.png", content),
        ("women.zip", archive.getvalue()),
        ("berta\\b.png", content),
        ("anna/c.png", content),
        ("more.zip", archive.getvalue()),
    ]
    client = idle()
    created = client.post(ANALYSES, files=[("files", one) for one in sent]).json()["exams"]
    exams = client.get(ANALYSES).json()
    assert names_of(exams) == [["a.png", "c.png"], *[["1.png", "3.png"], ["2.png"]], ["b.png"], *names_of(exams)[1:3]]
    assert [exam["id"] for exam in exams] == [exam["id"] for exam in created]
    assert [VOUCHED in exam["warnings"] for exam in exams] == [True, True, False, False, True, False]


def test_a_file_that_is_not_an_image_is_no_womans_where_there_are_two(idle: Idle, tmp_path: Path) -> None:
    letter = tmp_path / "letter.dcm"
    letter.write_text("dear radiologist")
    women = [image(tmp_path / "a.dcm", ANNA), image(tmp_path / "b.dcm", BERTA)]
    assert names_of(exams_of(idle(), [letter, *women])) == [["a.dcm"], ["b.dcm"], ["letter.dcm"]]


def test_an_upload_that_is_refused_leaves_none_of_its_exams(idle: Idle, tmp_path: Path) -> None:
    client = idle(queue=1)
    women = [image(tmp_path / "a.dcm", ANNA), image(tmp_path / "b.dcm", BERTA)]
    assert client.post(ANALYSES, files=form(women)).status_code == 429
    assert client.get(ANALYSES).json() == [] and not any((tmp_path / "data" / "files").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="ends the server by a signal")
def test_each_woman_has_a_report_of_her_own_and_nothing_of_hers_is_kept(tmp_path: Path, quick_bundle: Bundle) -> None:
    anna, berta = four_views(tmp_path / "anna", ANNA)[:3], four_views(tmp_path / "berta", BERTA)
    data = tmp_path / "data"
    with Server(tmp_path / "server", "--data", str(data), "--bundle", str(quick_bundle.folder)) as server:
        answer = server.client.post("/analyses", files=form([*anna, *berta]))
        created = answer.json()["exams"]
        assert len(created) == 2
        statuses = [server.wait(exam["id"]) for exam in created]
        assert statuses[0]["warnings"] == ["Standard views are missing: L MLO."] and statuses[1]["warnings"] == []
        for status, own, woman, other in zip(statuses, (anna, berta), (ANNA, BERTA), (BERTA, ANNA), strict=True):
            assert status["patient"]["patient_id"] == woman["PatientID"]
            assert [file["state"] for file in status["files"]] == ["done"] * len(own)
            assert len(server.client.get(f"/analyses/{status['id']}/result").json()) == len(own)
            pdf = server.client.post(f"/analyses/{status['id']}/report", json={"threshold": 0.1})
            page = pypdf.PdfReader(io.BytesIO(pdf.content)).pages[0]
            assert len(page.images) == len(own)
            text = " ".join(page.extract_text().split())
            assert str(woman["PatientID"]) in text and str(other["PatientID"]) not in text
            assert f"files analysed: {len(own)} of {len(own)}" in text
            assert ("Standard views are missing: L MLO." in text) == (len(own) == 3)
        said = "".join([answer.text, str(answer.headers), server.log]).encode()
        kept = {path: path.read_bytes() for path in data.rglob("*") if path.is_file() and path.name not in NAMING}
    kept |= {path: path.read_bytes() for path in data.rglob("*") if path.is_file() and path.name not in NAMING}
    assert {".json", ".sqlite", ".u16"} <= {path.suffix for path in kept}
    needles = [
        STUDY,
        OTHER_STUDY,
        *(str(woman[name]) for woman in (ANNA, BERTA) for name in ("PatientID", "PatientName")),
    ]
    needles += ['exam_key": "', str(read_exam_key(anna[0])), str(read_exam_key(berta[0]))]
    for where, content in {**kept, "said": said}.items():
        assert not [needle for needle in needles if needle.encode() in content], where
    for path in kept:  # of any secret: no fact that a file keeps is a keyed hash
        if path.name == "facts.json":
            assert b'"exam_key": null' in path.read_bytes()
