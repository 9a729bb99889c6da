"""What another package brings, each thing in one file, is used like what is built in (see CONTRIBUTING.md)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import pytest

from evaluation.tiny_stages import breast
from held.release import RELEASE
from installed import PACKAGES, mammoscope, with_step
from mammoscope.bundle import Bundle, load_bundle
from mammoscope.errors import BundleError
from mammoscope.findings import ANALYSED_ALONE, Analysis
from mammoscope.pipeline import analyze, examine_views
from mammoscope.readers import read_mammogram

STEP = {
    "name": "pair",
    "role": "rescore",
    "implementation": "paired-views",
    "settings": {"tolerance": 0.15, "weight": 0.5},
}


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(with_step(tmp_path_factory.mktemp("bundles") / "paired", STEP, max_regions=4, flips=True))


def test_a_mass_in_both_views_is_surer_and_one_view_alone_is_as_before(
    paired: Bundle, bundle: Bundle, exam: Path
) -> None:
    views = [read_mammogram(exam / f"phantom-{name}.dcm") for name in ("L-CC", "L-MLO")]
    alone = [analyze(view, bundle, threshold=0.2).findings for view in views]
    together = [examination.analysis.findings for examination in examine_views(views, paired, threshold=0.2)]
    best_alone, best_together = ([findings[0].detection_score for findings in each] for each in (alone, together))
    lower = best_alone.index(min(best_alone))
    assert best_together[lower] == pytest.approx((best_alone[0] + best_alone[1]) / 2)
    assert best_together[1 - lower] == pytest.approx(best_alone[1 - lower])
    one_view = analyze(views[0], paired, threshold=0.2)
    assert one_view.findings == alone[0] and one_view.warnings[-1] == ANALYSED_ALONE
    assert not any(ANALYSED_ALONE in one.analysis.warnings for one in examine_views(views, paired))
    of_views = load_bundle(manifest=RELEASE)
    assert paired.sees_exams and not of_views.sees_exams
    assert ANALYSED_ALONE not in analyze(views[0], of_views, threshold=1.0).warnings


@pytest.mark.load
def test_the_command_analyses_an_exam_as_the_step_sees_it(paired: Bundle, exam: Path, tmp_path: Path) -> None:
    paths = sorted(exam.glob("*.dcm"))
    options = ("--bundle", paired.folder, "--threshold", "0.2", "--out", tmp_path)
    assert "4 of 4 analysed" in mammoscope(PACKAGES, "analyze", exam, *options)
    written = [Analysis.model_validate_json((tmp_path / f"{path.stem}.json").read_bytes()) for path in paths]
    together = examine_views([read_mammogram(path) for path in paths], paired, threshold=0.2)
    for analysis, examination in zip(written, together, strict=True):
        assert analysis.findings and analysis.findings == examination.analysis.findings


def test_it_is_found_on_the_command_line_and_its_settings_are_checked(tmp_path: Path) -> None:
    folder = with_step(tmp_path / "paired", STEP)
    assert "pair: PairedViews loads" in mammoscope(PACKAGES, "bundle", "verify", "--bundle", str(folder))
    wrong = with_step(tmp_path / "wrong", {**STEP, "settings": {"tolerance": 2, "weight": 0.5}})
    with pytest.raises(BundleError, match=r"step 'pair': settings\.tolerance: Input should be less than or equal to 1"):
        load_bundle(wrong)


def test_a_backend_analyses_a_batch(exam: Path, tmp_path: Path) -> None:
    files = [str(exam / f"phantom-{view}.dcm") for view in ("L-CC", "R-CC")]
    said = mammoscope(PACKAGES, "analyze", *files, "--backend", "one-after-another", "--out", str(tmp_path / "out"))
    assert "2 of 2 analysed" in said
    assert {path.name for path in (tmp_path / "out").glob("phantom-*.json")} >= {
        "phantom-L-CC.json",
        "phantom-R-CC.json",
    }


def test_an_importer_makes_a_dataset_with_normals_that_is_checked_and_measured(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "dataset"
    source.mkdir()
    cv2.imwrite(str(source / "ill.png"), breast([(60, 150, 12)]))
    cv2.imwrite(str(source / "well.png"), breast([]))
    (source / "cases.csv").write_text(
        "file,woman,side,view,year,part,verdict\nill.png,w1,l,CC,1990,,\nwell.png,w2,l,CC,1990,,normal\n"
    )
    (source / "findings.csv").write_text("file,number,box,mask,kind,verdict\nill.png,1,48 138 25 25,,mass,m\n")
    assert "images: 2\nnormals: 1\n" in mammoscope(PACKAGES, "data", "import", "invented", str(source), str(out))
    assert "no problem found" in mammoscope(PACKAGES, "data", "check", str(out))
    mammoscope(PACKAGES, "evaluate", "detector", str(out), "--out", str(tmp_path / "report"), "--draws", "10")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["images"], report["lesions"], report["normals"]["images"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("raise OSError('no licence')", r"step 'pair': broken_step:Step cannot be imported \(OSError: no licence\)"),
        ("class Step: scope = 'view'", r"step 'pair': broken_step:Step lacks row_by_row, Settings, open"),
        (
            "from mammoscope.stages.step import StepSettings\nclass Step:\n    scope = 'view'\n    row_by_row = False\n"
            "    Settings = StepSettings\n    @classmethod\n"
            "    def open(cls, files, settings):\n        files['weights']",
            "step 'pair': has no file labelled 'weights', which 'broken' needs",
        ),
        (
            "from mammoscope.stages.step import StepSettings\nclass Step:\n    scope = 'view'\n    row_by_row = False\n"
            "    Settings = StepSettings\n    @classmethod\n    def open(cls, files, settings):\n        {}['key']",
            r"step 'pair': cannot be loaded \(KeyError: 'key'\)",
        ),
    ],
)
def test_a_broken_step_is_named(content: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tmp_path / "broken-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[mammoscope.steps]\nbroken = broken_step:Step\n")
    (tmp_path / "broken_step.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_step", raising=False)
    step = {"name": "pair", "role": "rescore", "implementation": "broken"}
    with pytest.raises(BundleError, match=named):
        load_bundle(with_step(tmp_path / "bundle", step)).load()
