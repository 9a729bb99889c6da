"""How the exams of a batch are called, and when their reports are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mammoscope.batch_exams import ExamReports, PlannedExam, exam_names, plan_exams
from mammoscope.mammogram import Laterality
from mammoscope.writers.json import write_analysis
from writers.made_analyses import analysis, mammogram


@pytest.mark.parametrize(
    ("exams", "names"),
    [
        ([["phantom-R-CC", "phantom-L-CC", "phantom-L-MLO"]], ["phantom"]),
        ([["phantom-L-CC", "phantom-L-MLO"]], ["phantom-L"]),
        ([["a_cc", "a_mlo"], ["b_cc", "b_mlo"]], ["exam-1", "exam-2"]),
        ([["case 7 L", "case 7 R"]], ["case 7"]),
        ([["IM0001", "IM0002"]], ["exam-1"]),
        ([["image", "image2"]], ["image"]),
        ([["1.2.840.55.1", "1.2.840.55.2"]], ["1.2.840.55"]),
        ([["x-1", "x-2"], ["x-3", "x-4"]], ["exam-1", "exam-2"]),
        ([["case-1", "case-2"], ["CASE-3", "CASE-4"]], ["case", "CASE-2"]),
        ([["R", "L"], ["R_1", "L_1"]], ["exam-1", "exam-2"]),
        ([], []),
    ],
)
def test_an_exam_is_called_after_its_files(exams: list[list[str]], names: list[str]) -> None:
    assert exam_names(exams, [name for exam in exams for name in exam]) == names


def test_no_exam_takes_the_name_of_an_analysis() -> None:
    assert exam_names([["case-1", "case-2"]], ["case-1", "case-2", "Case.exam", "case-2.exam"]) == ["case-3"]
    assert exam_names([["R", "L"]], ["R", "L", "exam-1.exam"]) == ["exam-1-2"]


def test_files_are_planned_by_key_and_those_alone_have_no_report() -> None:
    keys = ["a", None, "b", "a", "c", "b", None]
    names = ["one-1", "two", "three-1", "one-2", "four", "three-2", "five"]
    assert plan_exams(keys, names) == [
        PlannedExam("one", (0, 3)),
        PlannedExam(None, (1,)),
        PlannedExam("three", (2, 5)),
        PlannedExam(None, (4,)),
        PlannedExam(None, (6,)),
    ]


def test_a_report_is_written_with_the_last_file_and_without_failed_ones(tmp_path: Path) -> None:
    names = ["a-R", "alone", "a-L", "b-1", "a-x", "b-2"]
    for name, side in (("a-R", Laterality.RIGHT), ("a-L", Laterality.LEFT)):
        write_analysis(analysis(mammogram(laterality=side)), tmp_path / f"{name}.json")
    plan = [PlannedExam("a", (0, 2, 4)), PlannedExam(None, (1,)), PlannedExam("b", (3, 5))]
    reports = ExamReports(tmp_path, plan, names)
    assert reports.add(2, is_analysed=True) is None
    assert reports.add(1, is_analysed=True) is None
    assert reports.add(4, is_analysed=False) is None
    assert reports.add(0, is_analysed=True) == tmp_path / "a.exam.json"
    document = json.loads((tmp_path / "a.exam.json").read_text())
    assert [view["report"] for view in document["views"]] == ["a-R.json", "a-L.json"]
    assert document["not_analysed"] == 1
    assert reports.add(3, is_analysed=False) is None
    assert reports.add(5, is_analysed=False) is None  # nothing of it was analysed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-L.json", "a-R.json", "a.exam.json"]
