"""Which files of an upload are one exam."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from exams.two_women import ANNA, BERTA, STUDY, image, picture
from mammoscope.readers.identify import read_exam_key
from mammoscope.server.archives import Received
from mammoscope.server.upload_exams import UploadedExam, exams_in, part, within


def upload(folder: Path, kinds: str) -> list[Received]:
    """Files of an upload: A and B are images of two women, C one of B's under A's study, N a DICOM file that states
    no study, P a PNG, Q one in another folder, X a letter, R a file that was refused."""
    women = {
        "A": ANNA,
        "B": BERTA,
        "C": {**BERTA, "StudyInstanceUID": STUDY},
        "N": {**ANNA, "StudyInstanceUID": None},
    }
    received = []
    for number, kind in enumerate(kinds):
        path = folder / str(number) / "upload"
        if kind in women:
            image(path, women[kind])
        elif kind in "PQ":
            picture(path.with_suffix(".png")).rename(path)
        elif kind == "X":
            path.parent.mkdir(parents=True)
            path.write_text("dear radiologist")
        received.append(
            Received(f"{number}{kind}", "is encrypted" if kind == "R" else None, source="q" if kind == "Q" else "")
        )
    return received


@pytest.mark.parametrize(
    ("kinds", "exams", "vouched"),
    [
        ("A", ["0"], False),
        ("AAAA", ["0123"], False),
        ("AABB", ["01", "23"], False),
        ("ABAB", ["02", "13"], False),
        ("AACB", ["01", "2", "3"], False),
        ("ANA", ["02", "1"], False),
        ("AAPP", ["01", "2", "3"], False),
        ("PPAA", ["0", "1", "23"], False),
        ("NN", ["0", "1"], False),
        ("PPPP", ["0123"], True),
        ("PNP", ["0", "1", "2"], False),
        ("P", ["0"], False),
        ("PX", ["01"], False),
        ("PXP", ["012"], True),
        ("PPQQ", ["01", "23"], True),
        ("PQP", ["02", "1"], True),
        ("XABR", ["1", "2", "03"], False),
        ("XPQ", ["1", "2", "0"], False),
        ("XR", ["01"], False),
    ],
)
def test_two_women_are_never_one_exam(tmp_path: Path, kinds: str, exams: list[str], vouched: bool) -> None:
    received = upload(tmp_path, kinds)
    found = exams_in(received, lambda number: tmp_path / str(number) / "upload", read_exam_key)
    assert ["".join(map(str, exam.members)) for exam in found] == exams
    assert [exam.is_vouched for exam in found] == [vouched and len(exam.members) > 1 for exam in found]


def test_headers_that_take_too_long_leave_the_files_after_them_apart(tmp_path: Path) -> None:
    asked: list[Path] = []

    def slow_key(path: Path) -> str:
        asked.append(path)
        time.sleep(0.3)
        return "k" * 64

    found = exams_in(upload(tmp_path, "AAAAA"), lambda number: tmp_path / str(number) / "upload", within(0.5, slow_key))
    assert [exam.members for exam in found] == [(0, 1), (2,), (3,), (4,)] and len(asked) == 2


def test_files_go_to_the_folders_of_their_exams(tmp_path: Path) -> None:
    folder, other = tmp_path / "first", tmp_path / "other"
    other.mkdir()
    for number in (0, 1, 3, 4):  # 2 was refused
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / "upload").write_text(str(number))
    part(folder, UploadedExam((0, 3)), other)
    part(folder, UploadedExam((1, 2, 4)), folder)
    left = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("upload")}
    assert left == {"other/0/upload": "0", "other/1/upload": "3", "first/0/upload": "1", "first/2/upload": "4"}
