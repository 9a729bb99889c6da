"""What was drawn beside what was found: hits, misses and false findings, and the command that prints them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mammoscope import NOTICE
from mammoscope.bundle import Bundle
from mammoscope.cli.app import app
from mammoscope.errors import InputError
from mammoscope.example import PhantomSettings, write_exam
from mammoscope.example.compare import Compared, compared, summary
from mammoscope.example.truth import TrueLesion, read_truth
from mammoscope.findings import Analysis, Box, Finding, Size
from mammoscope.pipeline import analyze
from mammoscope.readers import read_mammogram
from mammoscope.writers.json import write_analysis

SETTINGS = PhantomSettings.model_validate({"masses": ("round",), "calcifications": ("linear",)})


@pytest.fixture(scope="module")
def exam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    write_exam(folder, 0, 416, 320, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def nothing(exam_folder: Path, bundle: Bundle) -> Analysis:
    return analyze(read_mammogram(exam_folder / "phantom-R-CC.dcm"), bundle, threshold=1.0)


def found(lesion: TrueLesion, shift: float = 0.0, score: float = 0.5, kind: str | None = None) -> Finding:
    x0, y0, x1, y1 = lesion.box
    return Finding(
        kind=kind or lesion.kind,
        box=Box(x0=x0 + shift, y0=y0, x1=x1 + shift, y1=y1),
        outline=(),
        detection_score=score,
        malignancy_score=0.2,
        malignancy="benign",
        size=Size(area_mm2=None, longest_diameter_mm=None),
    )


def write_results(folder: Path, nothing: Analysis, findings: dict[str, tuple[Finding, ...]]) -> None:
    for name, of_view in findings.items():
        changed = {"findings": of_view, "outcome": "findings" if of_view else "no_finding"}
        write_analysis(nothing.model_copy(update=changed), folder / f"{name}.json")


def test_each_lesion_is_hit_once_by_a_finding_of_its_kind(exam_folder: Path, nothing: Analysis, tmp_path: Path) -> None:
    truth = {Path(name).stem: view for name, view in read_truth(exam_folder).files.items()}
    (mass,), (cluster,) = truth["phantom-L-CC"].lesions, truth["phantom-R-CC"].lesions
    wide = mass.box[2] - mass.box[0]
    findings = {
        "phantom-L-CC": (found(mass, score=0.9), found(mass, wide / 4, 0.6)),  # the second is one too many
        "phantom-L-MLO": (found(truth["phantom-L-MLO"].lesions[0], 0.9 * wide),),  # beside it
        "phantom-R-CC": (found(cluster, kind="mass"),),  # there, but taken for something else
        "phantom-R-MLO": (found(truth["phantom-R-MLO"].lesions[0]),),
    }
    write_results(tmp_path, nothing, findings)
    rows = compared(exam_folder, tmp_path)

    def told(row: Compared) -> tuple[str, str | None, int | None]:
        return row.file.removesuffix(".dcm"), row.lesion and row.lesion.kind, row.number

    assert sorted(map(told, rows), key=str) == sorted(
        [
            ("phantom-L-CC", "mass", 1),
            ("phantom-L-CC", None, 2),
            ("phantom-L-MLO", "mass", None),
            ("phantom-L-MLO", None, 1),
            ("phantom-R-CC", "calcification", None),
            ("phantom-R-CC", None, 1),
            ("phantom-R-MLO", "calcification", 1),
        ],
        key=str,
    )
    assert {round(row.iou, 6) for row in rows if row.lesion and row.finding} == {1.0}
    assert summary(rows).startswith("Drawn: 4 (each lesion counts once a view). Found: 2. False findings: 3.")


def test_the_command_prints_it_and_draws_nothing(exam_folder: Path, nothing: Analysis, tmp_path: Path) -> None:
    lesion = read_truth(exam_folder).files["phantom-L-CC.dcm"].lesions[0]
    views = dict.fromkeys(("phantom-R-CC", "phantom-R-MLO", "phantom-L-MLO"), ())
    write_results(tmp_path, nothing, {**views, "phantom-L-CC": (found(lesion),)})
    before = sorted(path.stat().st_mtime_ns for path in exam_folder.iterdir())
    done = CliRunner().invoke(app, ["example", "--out", str(exam_folder), "--compare", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert sorted(path.stat().st_mtime_ns for path in exam_folder.iterdir()) == before
    text = " ".join(done.output.split())
    assert "finding 1" in text and text.count("missed") == 3 and NOTICE in text
    assert "Drawn: 4" in text and "Found: 1. False findings: 0." in text


def test_results_that_are_missing_are_named(exam_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"phantom-R-CC\.json: cannot be read"):
        compared(exam_folder, tmp_path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--mass", "square"], "'square'"),
        (["--calcifications", "linear-everywhere"], "'everywhere'"),
        (["--dose", "0"], "greater than or equal to 0.02"),
        (["--prior", "larger"], "'none', 'smaller' or 'absent'"),
        (["--mass", "round"] * 9, "9 lesions are too many"),
    ],
)
def test_options_that_cannot_be_drawn_are_refused(options: list[str], named: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["example", "--out", str(tmp_path / "x"), *options], env={"COLUMNS": "300"})
    assert done.exit_code == 2
    assert named in done.output
    assert not (tmp_path / "x").exists()
