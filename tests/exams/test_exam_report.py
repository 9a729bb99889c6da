"""What is said of an exam as a whole."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mammoscope import NOTICE
from mammoscope.exam_report import ExamReport, report_on
from mammoscope.findings import Analysis
from mammoscope.mammogram import Laterality, PixelSpacing
from mammoscope.writers.exam_json import exam_schema, exam_schema_text, write_exam_report
from writers.made_analyses import analysis, finding, mammogram

LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT
STANDARD = ((LEFT, "MLO"), (RIGHT, "MLO"), (LEFT, "CC"), (RIGHT, "CC"))


def found(side: Laterality | None, view: str | None, *findings: Any, **changes: Any) -> Analysis:
    return analysis(mammogram(laterality=side, view=view, **changes), *findings)


def whole_exam() -> list[tuple[str, Analysis]]:
    """Two findings in the left CC view, one in the left MLO, none in the right breast."""
    box = (100, 100, 200, 200)
    findings = {
        (LEFT, "CC"): (finding(box, 0.3, 0.9), finding(box, 0.7, 0.5)),
        (LEFT, "MLO"): (finding(box, 0.6, 0.4),),
    }
    return [(f"{side[0]}-{view}.json", found(side, view, *findings.get((side, view), ()))) for side, view in STANDARD]


def test_a_whole_exam_has_nothing_to_warn_of_and_says_what_was_found_where(tmp_path: Path) -> None:
    report = report_on(whole_exam())
    assert [view.report for view in report.views] == ["R-CC.json", "L-CC.json", "R-MLO.json", "L-MLO.json"]
    assert [view.findings for view in report.views] == [0, 2, 0, 1]
    assert [view.outcome for view in report.views] == ["no_finding", "findings", "no_finding", "findings"]
    right, left = report.breasts
    assert (right.laterality, right.views, right.findings) == (RIGHT, 2, 0)
    assert (right.highest.detection_score, right.highest.malignancy_score) == (None, None)
    assert (left.laterality, left.findings) == (LEFT, 3)
    # Each is the highest of its kind, of whichever finding.
    assert (left.highest.detection_score, left.highest.malignancy_score) == (0.9, 0.7)
    assert report.highest == left.highest
    assert report.warnings == () and report.not_analysed == 0
    assert report.notice == NOTICE and report.bundle.sha256 == "cd" * 32
    write_exam_report(report, tmp_path / "a.exam.json")
    document = json.loads((tmp_path / "a.exam.json").read_text())
    jsonschema.validate(document, exam_schema(), cls=jsonschema.Draft202012Validator)
    assert ExamReport.model_validate(document) == report


@pytest.mark.parametrize(
    ("analyses", "warnings"),
    [
        ([found(*one) for one in STANDARD[:3]], ["Standard views are missing: R CC."]),
        ([found(LEFT, "CC"), found(LEFT, "MLO")], ["Standard views are missing: R CC, R MLO."]),
        (
            [*(found(*one) for one in STANDARD), found(LEFT, "CC"), found(LEFT, "CC")],
            ["L CC is there 3 times."],
        ),
        ([*(found(*one) for one in STANDARD), found(RIGHT, "XCCL")], []),
        (
            [found(None, "CC"), found(LEFT, None)],
            [
                "The side or the view of 2 images is not known.",
                "Standard views are missing among the images whose side and view are known: R CC, L CC, R MLO, L MLO.",
            ],
        ),
        (
            [
                *(found(*one) for one in STANDARD[1:]),
                found(*STANDARD[0], spacing=PixelSpacing(0.07, 0.07, "ImagerPixelSpacing")),
            ],
            ["The pixel spacing differs between images: 0.07 mm, 0.1 mm."],
        ),
        (
            [
                *(found(*one) for one in STANDARD[1:]),
                found(*STANDARD[0], spacing=PixelSpacing(0.1004, 0.1004, "ImagerPixelSpacing")),
            ],
            [],
        ),
        (
            [*(found(*one) for one in STANDARD[1:]), found(*STANDARD[0], spacing=None)],
            ["The pixel spacing of 1 image is not known."],
        ),
        ([found(*one, spacing=None) for one in STANDARD], []),  # each image's own analysis says so
    ],
)
def test_what_a_reader_must_know_is_said(analyses: list[Analysis], warnings: list[str]) -> None:
    report = report_on([(f"{number}.json", one) for number, one in enumerate(analyses)])
    assert list(report.warnings) == warnings


def test_images_that_failed_and_words_of_the_caller_are_said_first() -> None:
    report = report_on(whole_exam()[:1], not_analysed=3, warnings=["Nobody knows whose they are."])
    assert report.not_analysed == 3
    assert report.warnings[:2] == ("Nobody knows whose they are.", "3 files of this exam could not be analysed.")


def test_analyses_of_other_models_or_thresholds_make_no_report() -> None:
    name, first = whole_exam()[0]
    other = first.model_copy(update={"thresholds": first.thresholds.model_copy(update={"detection": 0.1})})
    with pytest.raises(ValueError, match="have 2 bundles and thresholds"):
        report_on([(name, first), ("b.json", other)])
    with pytest.raises(ValueError, match="have 0 bundles"):
        report_on([])
    with pytest.raises(ValueError, match="two views have one report"):
        report_on([(name, first), (name, first)])


def test_findings_that_are_one_lesion_are_told_together() -> None:
    exam = {(side, view): found(side, view) for side, view in STANDARD}
    box, uid = (100, 100, 200, 200), "2.25.7"
    exam[LEFT, "CC"] = found(LEFT, "CC", finding(box, 0.3, 0.9), finding(box, 0.7, 0.5, lesion=uid))
    exam[LEFT, "MLO"] = found(LEFT, "MLO", finding(box, 0.7, 0.6, lesion=uid))
    report = report_on([(f"{side[0]}-{view}.json", one) for (side, view), one in exam.items()])
    assert [(one.uid, one.laterality, one.kind) for one in report.lesions] == [
        (None, LEFT, "mass"),
        (uid, LEFT, "mass"),
    ]
    places = [[(place.report, place.number) for place in one.findings] for one in report.lesions]
    assert places == [[("L-CC.json", 1)], [("L-CC.json", 2), ("L-MLO.json", 1)]]
    assert [one.highest.detection_score for one in report.lesions] == [0.9, 0.6]


def test_a_report_of_before_opens_and_names_no_lesion() -> None:
    document = report_on(whole_exam()).model_dump(mode="json")
    del document["lesions"]
    opened = ExamReport.model_validate(document | {"schema_version": "1.0"})
    assert (opened.schema_version, opened.lesions) == ("1.1", ())


def test_the_published_schema_is_that_of_the_code() -> None:
    published = (files("mammoscope") / "schemas" / "exam.schema.json").read_text(encoding="utf-8")
    assert published == exam_schema_text(), (
        "stale: run python -m mammoscope.writers.exam_json > src/mammoscope/schemas/exam.schema.json"
    )
    jsonschema.Draft202012Validator.check_schema(exam_schema())
    assert set(exam_schema()["required"]) == set(exam_schema()["properties"])
