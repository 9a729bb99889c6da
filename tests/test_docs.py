"""What README and model card claim is what the bundle's manifest holds and what lies in the repository."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from mammoscope.bundle import Bundle

ROOT = Path(__file__).parents[1]
ROLES = {"detector": "detect", "segmenter": "segment", "classifier": "classify"}
FIGURES = {
    "detector": ("ap", "ap50", "froc.iou_0.5.1", "froc.iou_0.2.1"),
    "segmenter": ("iou_pooled", "baseline_iou_pooled", "pixel_auc"),
    "classifier": ("crops.predicted_mask.auc", "crops.predicted_mask.accuracy", "boxes.auc", "boxes.accuracy"),
    "pipeline": ("at_lesion_count.correct", "at_lesion_count.false_positive_rate"),
}


@pytest.mark.parametrize("page", ["README.md", "MODEL_CARD.md", "docs/experiments.md"])
@pytest.mark.parametrize(("stage", "name"), [(stage, name) for stage, names in FIGURES.items() for name in names])
def test_figures_are_those_of_the_manifest(bundle: Bundle, page: str, stage: str, name: str) -> None:
    manifest = bundle.manifest
    if stage == "pipeline":
        figure = manifest.metrics[name]
    else:
        step = manifest.first(ROLES[stage])
        assert step is not None and step.provenance is not None
        figure = step.provenance.metrics[name]
    low, high = figure.ci95
    # Manifests keep four digits, pages three; a figure on the edge may be rounded either way.
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = [tuple(map(float, found)) for found in re.findall(r"(0\.\d{3}) \[(0\.\d{3}), (0\.\d{3})\]", text)]
    assert any(
        all(abs(a - b) < 0.0006 for a, b in zip(found, (figure.value, low, high), strict=True)) for found in shown
    ), f"{page} lacks {stage} {name} {figure.value:.3f} [{low:.3f}, {high:.3f}]"


def test_no_figure_of_an_experiment_is_without_its_table() -> None:
    text = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
    shown = [tuple(map(float, found)) for found in re.findall(r"(0\.\d{3}) \[(0\.\d{3}), (0\.\d{3})\]", text)]
    measured = []
    for table in sorted((ROOT / "docs/experiments").glob("*.csv")):
        with table.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if "value" in row]
        measured += [tuple(float(row[name]) for name in ("value", "low", "high")) for row in rows]
    assert shown
    missing = [
        found
        for found in shown
        if not any(all(abs(a - b) < 0.0006 for a, b in zip(found, figure, strict=True)) for figure in measured)
    ]
    assert not missing


PAGES = [
    "README.md",
    "MODEL_CARD.md",
    "CHANGELOG.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_are_there(page: str) -> None:
    path = ROOT / page
    targets = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (path.parent / target).exists()]
    assert not missing
