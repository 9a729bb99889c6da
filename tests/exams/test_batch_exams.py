"""How the exams of a batch are called, and when their reports are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mammoscope.batch.exams import ALONE, ExamReports, plan_exams
from mammoscope.errors import MammoscopeError
from mammoscope.mammogram import Laterality
from mammoscope.writers.exam_json import reported_in
from mammoscope.writers.json import write_analysis
from writers.made_analyses import analysis, mammogram


@pytest.mark.parametrize(
    ("exams", "names"),
    [
        ([["phantom-R-CC", "phantom-L-CC", "phantom-L-MLO"]], ["phantom"]),
        ([["phantom-L-CC", "phantom-L-MLO"]], ["phantom-L"]),
        ([["a_cc", "a_mlo"], ["b_cc", "b_mlo"]], ["a_cc", "b_cc"]),
        ([["case 7 L", "case 7 R"]], ["case 7"]),
        ([["IM0002", "IM0001"]], ["IM0001"]),
        ([["image", "image2"]], ["image"]),
        ([["image2", "image"]], ["image"]),
        ([["1.2.840.55.1", "1.2.840.55.2"]], ["1.2.840.55"]),
        ([["case-1", "case-2"], ["CASE-3", "CASE-4"]], ["case", "CASE-3"]),
        ([["case-1", "case-2"], ["case-3", "case-4"], ["case-5", "case-6"]], ["case", "case-3", "case-5"]),
        ([["R", "L"], ["R_1", "L_1"]], ["L", "L_1"]),
        ([["case-1", "case-2"], ["Case.exam"], ["case-2.exam"]], ["case-1"]),
        ([["R", "L"], ["l.exam"], ["L-2.exam"]], ["L-3"]),
        ([], []),
    ],
)
def test_an_exam_is_called_after_its_files_and_takes_the_name_of_no_analysis(
    tmp_path: Path, exams: list[list[str]], names: list[str]
) -> None:
    assert [path.name for path in reported(tmp_path, *exams)] == [f"{name}.exam.json" for name in names]


def reported(out: Path, *exams: list[str]) -> list[Path]:
    """The reports that one run writes on exams, whose images have these names."""
    keys = [f"{number:064x}" for number, members in enumerate(exams) for _ in members]
    names = [name for members in exams for name in members]
    plan = plan_exams(keys, names)
    reports, written = ExamReports(out, plan), []
    for name, number in zip(names, plan.exam.tolist(), strict=True):
        write_analysis(analysis(mammogram(80, 64)), out / f"{name}.json")
        written.append(reports.add(number, name, out / f"{name}.dcm", is_analysed=True))
    return [path for path in written if path is not None]


def test_the_report_on_another_exam_stays_when_a_folder_is_used_again(tmp_path: Path) -> None:
    anna, berta = ["case-1", "case-2"], ["case-3", "case-4"]
    (of_anna,) = reported(tmp_path, anna)
    (of_berta,) = reported(tmp_path, berta)
    assert (of_anna.name, of_berta.name) == ("case.exam.json", "case-3.exam.json")
    for _ in range(2):  # in any order, together or alone, each keeps its own
        assert reported(tmp_path, berta, anna) == [of_berta, of_anna]
        assert reported(tmp_path, berta) == [of_berta]
    assert reported(tmp_path, [*anna, "case-0"]) == [of_anna]  # more images of hers
    assert reported_in(of_anna) == {"case-0.json", "case-1.json", "case-2.json"}
    (fewer,) = reported(tmp_path, anna)  # may be another exam
    assert fewer.name == "case-1.exam.json" and len(reported_in(of_anna) or ()) == 3
    assert reported_in(of_berta) == {"case-3.json", "case-4.json"}


def test_no_report_takes_the_place_of_an_analysis_of_an_earlier_run(tmp_path: Path) -> None:
    write_analysis(analysis(mammogram(80, 64)), tmp_path / "case.exam.json")  # that of the file case.exam.dcm
    assert reported(tmp_path, ["case-1", "case-2"]) == [tmp_path / "case-1.exam.json"]
    assert reported_in(tmp_path / "case.exam.json") is None


def test_files_are_planned_by_key_and_those_alone_have_no_report() -> None:
    a, b, c = (sign * 64 for sign in "abc")
    plan = plan_exams([c, None, a, b, a, None, c, c], (f"{number}-x" for number in range(8)))
    assert plan.exam.tolist() == [0, ALONE, 1, ALONE, 1, ALONE, 0, 0]
    assert plan.sizes == (3, 2) and plan.names == (("0-x",), ("2-x",))
    assert list(plan.members()) == [[0, 6, 7], [1], [2, 4], [3], [5]]
    assert list(plan_exams([], []).members()) == []


def test_a_report_is_written_with_the_last_file_and_without_failed_ones(tmp_path: Path) -> None:
    names = ["case-R", "alone", "case-L", "other-1", "case-x", "other-2"]
    a, b = "a" * 64, "b" * 64
    plan = plan_exams([a, None, a, b, a, b], names)
    for name, side in (("case-R", Laterality.RIGHT), ("case-L", Laterality.LEFT)):
        write_analysis(analysis(mammogram(laterality=side)), tmp_path / f"{name}.json")
    reports = ExamReports(tmp_path, plan)

    def done(place: int, *, is_analysed: bool = True) -> Path | None:
        return reports.add(int(plan.exam[place]), names[place], Path(names[place]), is_analysed=is_analysed)

    assert [done(2), done(1), done(4, is_analysed=False)] == [None] * 3
    assert done(0) == tmp_path / "case.exam.json"
    document = json.loads((tmp_path / "case.exam.json").read_text())
    assert [view["report"] for view in document["views"]] == ["case-R.json", "case-L.json"]
    assert document["not_analysed"] == 1
    assert done(3, is_analysed=False) is None and done(5, is_analysed=False) is None  # nothing of it was analysed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case-L.json", "case-R.json", "case.exam.json"]


def test_a_report_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    plan = plan_exams(["a" * 64] * 2, ["case-1", "case-2"])
    for name in ("case-1", "case-2"):
        write_analysis(analysis(mammogram()), tmp_path / f"{name}.json")
    (tmp_path / "case.exam.json").mkdir()
    reports = ExamReports(tmp_path, plan)
    reports.add(0, "case-1", tmp_path / "case-1.dcm", is_analysed=True)
    with pytest.raises(MammoscopeError, match=r"case\.exam\.json: cannot be written"):
        reports.add(0, "case-2", tmp_path / "case-2.dcm", is_analysed=True)


def test_a_large_batch_is_planned_in_little_memory() -> None:
    count = 100_000
    keys = (f"{number // 4:064x}" for number in range(count))
    plan = plan_exams(keys, (f"{number // 4}-{number % 4}" for number in range(count)))
    assert len(plan.names) == count / 4 and set(plan.sizes) == {4} and plan.exam.nbytes == 4 * count
