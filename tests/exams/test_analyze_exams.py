"""``analyze`` over files of several women: an exam each, and nothing that tells whose."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

import mammoscope
from exams.two_women import ANNA, BERTA, OTHER_STUDY, STUDY, four_views, image, picture
from mammoscope.batch import Done, Options, analyze_files
from mammoscope.bundle import Bundle
from mammoscope.readers.identify import read_exam_key
from mammoscope.writers.dicom.earlier import report_in
from mammoscope.writers.dicom.results import ResultKind
from writers.made_analyses import mammogram as made

VIEWS = ["R-CC", "L-CC", "R-MLO", "L-MLO"]


def run(paths: list[Path], out: Path, bundle: Bundle, **options: Any) -> list[Done]:
    return list(analyze_files(paths, out, bundle, Options(**options)))


def reported(out: Path) -> dict[str, list[str]]:
    """The images of each report, as they hang."""
    return {
        path.name: [view["report"] for view in json.loads(path.read_text())["views"]]
        for path in sorted(out.glob("*.exam.json"))
    }


@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"workers": 3}, marks=pytest.mark.load), {"workers": 2, "backend": "processes"}],
)
def test_two_women_in_one_folder_are_two_exams(tmp_path: Path, quick_bundle: Bundle, options: dict[str, Any]) -> None:
    anna, berta = four_views(tmp_path / "in", ANNA, "anna-"), four_views(tmp_path / "in", BERTA, "berta-")
    alone = [image(tmp_path / "in" / "c.dcm", {**ANNA, "PatientID": "CLARA"}), picture(tmp_path / "in" / "d.png")]
    shuffled = [path for pair in zip(anna, reversed(berta), strict=True) for path in pair]
    done = run([*shuffled, *alone], tmp_path / "out", quick_bundle, **options)
    assert all(one.analysis for one in done)
    assert reported(tmp_path / "out") == {
        "anna.exam.json": [f"anna-{view}.json" for view in VIEWS],
        "berta.exam.json": [f"berta-{view}.json" for view in VIEWS],
    }
    reports = {one.exam_report for one in done} - {None}
    assert reports == {tmp_path / "out" / "anna.exam.json", tmp_path / "out" / "berta.exam.json"}
    report = json.loads((tmp_path / "out" / "anna.exam.json").read_text())
    assert report["warnings"] == [] and report["not_analysed"] == 0


@pytest.mark.parametrize(
    ("others", "report"),
    [
        ({"PatientID": "BERTA-77311"}, None),  # a study that two women state
        ({"StudyInstanceUID": OTHER_STUDY}, None),  # her next exam
        ({"PatientName": None}, None),
        ({"StudyInstanceUID": None}, None),
        ({"PatientName": "BEISPIEL^ANNA"}, ["one.json", "two.json"]),
    ],
)
def test_study_and_patient_decide(
    tmp_path: Path, quick_bundle: Bundle, others: dict[str, Any], report: list[str] | None
) -> None:
    paths = [image(tmp_path / "one.dcm", ANNA, "R"), image(tmp_path / "two.dcm", ANNA, "L", **others)]
    run(paths, tmp_path / "out", quick_bundle)
    assert reported(tmp_path / "out") == ({} if report is None else {"one.exam.json": report})


def test_images_without_a_study_are_alone_wherever_they_lie(tmp_path: Path, quick_bundle: Bundle) -> None:
    run([picture(tmp_path / f"case-{side}.png") for side in "RL"], tmp_path / "out", quick_bundle)
    assert reported(tmp_path / "out") == {}


def test_a_report_follows_its_exam_from_run_to_run(tmp_path: Path, quick_bundle: Bundle) -> None:
    paths, out = four_views(tmp_path / "in", ANNA, "anna-"), tmp_path / "out"
    broken = tmp_path / "in" / "anna-x.dcm"
    broken.write_bytes(paths[0].read_bytes()[:-5000])
    run([*paths[:3], broken], out, quick_bundle)
    first = json.loads((out / "anna.exam.json").read_text())
    assert len(first["views"]) == 3 and first["not_analysed"] == 1
    assert first["warnings"] == [
        "1 file of this exam could not be analysed.",
        "Standard views are missing: L MLO.",
    ]
    done = run(paths, out, quick_bundle)
    # Models that look at whole exams look again at all views of one that has grown.
    assert sorted(one.skipped for one in done) == [False] + [not quick_bundle.sees_exams] * 3
    assert reported(out) == {"anna.exam.json": [f"anna-{view}.json" for view in VIEWS]}
    (out / "anna.exam.json").unlink()
    # Without its report it is not known which views were seen together.
    assert {one.skipped for one in run(paths, out, quick_bundle)} == {not quick_bundle.sees_exams}
    assert reported(out) == {"anna.exam.json": [f"anna-{view}.json" for view in VIEWS]}


def test_the_command_says_what_it_grouped_and_writes_nothing_of_whom(tmp_path: Path, quick_bundle: Bundle) -> None:
    paths = [*four_views(tmp_path / "in", ANNA, "a-")[:2], *four_views(tmp_path / "in", BERTA, "b-")[2:]]
    out = tmp_path / "out"
    (out / "a-L-CC.exam.json").mkdir(parents=True)
    command = [sys.executable, "-m", "mammoscope", "analyze", str(tmp_path / "in"), "--out", str(out)]
    command += ["--bundle", str(quick_bundle.folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 3 and "a-L-CC.exam.json: cannot be written" in ended.stderr
    (out / "a-L-CC.exam.json").rmdir()
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 exams of several images, each with a report EXAM.exam.json" in ended.stdout
    needles = [str(woman[name]) for woman in (ANNA, BERTA) for name in ("PatientID", "PatientName", "StudyInstanceUID")]
    needles += [str(read_exam_key(path)) for path in paths]
    written = {str(path): path.read_bytes() for path in out.iterdir()}
    assert STUDY in needles and len(reported(out)) == 2
    for where, content in {**written, "said": (ended.stdout + ended.stderr).encode()}.items():
        assert not [needle for needle in needles if needle.encode() in content or needle in where]
        assert b"exam_key" not in content


def test_the_public_face_refuses_two_women(tmp_path: Path, quick_bundle: Bundle) -> None:
    anna, berta = image(tmp_path / "a.dcm", ANNA), image(tmp_path / "b.dcm", BERTA)
    pictures = [picture(tmp_path / "c.png"), picture(tmp_path / "d.png")]
    with pytest.raises(ValueError, match=r"a, b: these images are of 2 exams"):
        mammoscope.analyze_exam([anna, berta], quick_bundle)
    with pytest.raises(ValueError, match=r"c: states no study"):
        mammoscope.analyze_exam([anna, pictures[0]], quick_bundle)
    nameless = [image(tmp_path / f"{name}.dcm", {**ANNA, "PatientID": name, "StudyInstanceUID": None}) for name in "ef"]
    with pytest.raises(ValueError, match=r"e, f: states no study, so it cannot be in an exam with other images"):
        mammoscope.analyze_exam(nameless, quick_bundle)
    assert len(mammoscope.analyze_exam(nameless[:1], quick_bundle)) == 1
    assert len(mammoscope.analyze_exam(pictures, quick_bundle)) == 2  # on the caller's word
    assert len(mammoscope.analyze_exam([made(96, 80)], quick_bundle)) == 1


def test_an_exam_gets_a_structured_report_that_names_the_one_it_replaces(tmp_path: Path, quick_bundle: Bundle) -> None:
    out = tmp_path / "out"
    paths = [image(tmp_path / "in" / f"anna-{view}.dcm", ANNA, "R", view) for view in ("CC", "MLO")]
    uids = [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in paths]
    kinds = {"dicom": frozenset({ResultKind.SR, ResultKind.SEG}), "exam_sr": True, "threshold": 0.01}
    target = out / "anna.exam.sr.dcm"
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:-5000])
    run(paths, out, quick_bundle, **kinds)
    assert [path.name for path in out.glob("*.exam.sr.dcm")] == [target.name]
    first, content = report_in(target), target.read_bytes()
    assert first is not None and first.of_exam and first.images == {uids[0]} and first.replaces == ()
    assert b"1 file of this exam could not be analysed." in content and uids[1].encode() in content
    segmentations = {str(dcmread(path).SOPInstanceUID) for path in out.glob("*.seg.dcm")}
    assert len(segmentations) == 1 and all(uid.encode() in content for uid in segmentations)
    run(paths, out, quick_bundle, **kinds)
    assert target.read_bytes() == content  # nothing new is to be said

    paths[1].write_bytes(whole)
    run(paths, out, quick_bundle, **kinds)
    second = report_in(target)
    assert second is not None and second.images == set(uids) and second.replaces == (first.reference,)
    before = report_in(out / "anna-CC.sr.dcm")
    run(paths, out, quick_bundle, **{**kinds, "threshold": 0.9})
    of_view, of_exam = report_in(out / "anna-CC.sr.dcm"), report_in(target)
    assert before is not None and of_view is not None and of_view.replaces == (before.reference,)
    assert of_exam is not None and of_exam.replaces == (second.reference,)
