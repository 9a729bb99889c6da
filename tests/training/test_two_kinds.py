"""The chain carries a second kind from end to end: trained on phantoms, exported, run, measured by kind, written.

What a network of a few steps finds is worth nothing; that each kind keeps its name on the whole way is what is tested.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from mammoscope.bundle import Bundle
from mammoscope.bundling.swap import swapped
from mammoscope.candidates import Candidates
from mammoscope.datasets.layout import load_dataset
from mammoscope.evaluation.run import evaluate
from mammoscope.example.exam import write_view
from mammoscope.families.detect.retinanet import RetinaNetExport, RetinaNetFamily
from mammoscope.families.find import find_family, load_recipe
from mammoscope.findings import Analysis
from mammoscope.kinds import kinds_shown
from mammoscope.pipeline import analyze
from mammoscope.readers import read_mammogram
from mammoscope.stages import step as steps
from mammoscope.stages.manifests import StepManifest
from mammoscope.training.roles.detect import DetectorTask, load_breasts
from mammoscope.training.run import read_run, train
from mammoscope.writers.dicom.origin import read_origin
from mammoscope.writers.dicom.results import ResultKind, dicom_results
from mammoscope.writers.fhir import fhir_bundle
from mammoscope.writers.overlay.ink import REDDISH_PURPLE
from mammoscope.writers.overlay.picture import render_overlay
from phantom_dataset import SETTINGS, write_phantoms
from small_recipes import as_toml, small_table

pytestmark = pytest.mark.training

KINDS = ["mass", "calcification"]
PATIENTS, FOLDS = 4, 2
CLUSTER, PROBABILITY_OF_CANCER, MALIGNANCY_CLASS = "129769006", "111047", "malignancy-class"


@dataclass(frozen=True)
class Made:
    """A dataset of phantoms, a detector that was trained on it, and a bundle with that detector."""

    dataset: Path
    recipe: Path
    run: Path
    bundle: Bundle


@pytest.fixture(scope="module")
def made(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("kinds")
    dataset, recipe = write_phantoms(folder / "data", PATIENTS), folder / "recipe.toml"
    table = small_table(find_family("detect", "retinanet"), epochs=2, folds=FOLDS)
    del table["augmentation"]
    recipe.write_text(as_toml(table))
    train("detector", dataset, str(recipe), folder / "run")
    # The built-in segmenter and classifier, which know masses alone; without the step that joins views.
    manifest = bundle.manifest.model_copy(update={"steps": tuple(s for s in bundle.manifest.steps if s.name != "join")})
    of_views = Bundle(bundle.folder, manifest, bundle.sha256)
    built = swapped(of_views, "detect", folder / "run", load_dataset(dataset), folder / "bundle")
    return Made(dataset, recipe, folder / "run", built)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "view.dcm"
    write_view(path, 1, 0, 416, 320, SETTINGS)
    return path


def analysed(made: Made, image: Path, *more: StepManifest) -> Analysis:
    """Two findings of each kind, whatever their score: of a network of a few steps it says nothing."""
    manifest = made.bundle.manifest.with_settings("detect", floor=0.0, max_regions=2)
    steps_of = (*manifest.steps, *more)
    bundle = Bundle(made.bundle.folder, manifest.model_copy(update={"steps": steps_of}), made.bundle.sha256)
    return analyze(read_mammogram(image), bundle, threshold=0.0)


@pytest.fixture(scope="module")
def analysis(made: Made, image: Path) -> Analysis:
    return analysed(made, image)


def test_the_run_and_the_bundle_name_the_kinds(made: Made) -> None:
    assert read_run(made.run)["fitted"]["kinds"] == KINDS
    detect = made.bundle.manifest.first("detect")
    assert detect and detect.settings["kinds"] == KINDS and made.bundle.kinds == set(KINDS)
    assert detect.provenance and detect.provenance.onnx_difference < 1e-3
    assert made.bundle.kinds_of("segment") == made.bundle.kinds_of("classify") == {"mass"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_is_learned_detected_and_exported_under_its_name(made: Made, kind: str) -> None:
    torch.manual_seed(0)
    family, recipe = RetinaNetFamily(), load_recipe("detect", str(made.recipe))
    dataset = load_dataset(made.dataset)
    breasts = load_breasts(dataset.of_patients(dataset.patients[:1]), recipe, "")
    network = family.network(recipe, family.fitted(recipe, breasts), None)
    with torch.no_grad():  # a network that takes everything for this kind
        bias = network.head.classification_head.cls_logits.bias.view(-1, len(KINDS))
        bias[:] = -3
        bias[:, KINDS.index(kind)] = 3
    cpu, precise = torch.device("cpu"), torch.autocast("cpu", enabled=False)
    task = DetectorTask(family, recipe, network, breasts, breasts)
    (other,) = {*KINDS} - {kind}
    pixels, boxes, kinds = task.sample(0, np.random.default_rng(0))
    renamed = {name: task.loss([(pixels, boxes, np.full(len(kinds), name))], cpu, precise) for name in KINDS}
    assert renamed[kind]["score_loss"] < renamed[other]["score_loss"]
    network.eval()
    images = task.batch([(pixels, boxes, kinds)], cpu).images
    with torch.no_grad():
        _, scores = RetinaNetExport(network, recipe.input_size)(images)
        (found,) = family.detect(network, images, precise)
    assert scores.shape[1] == 2 and (scores.argmax(dim=1) == KINDS.index(kind)).all()
    assert found.kinds is not None and set(found.kinds[found.scores > 0.5]) == {kind}


def test_an_analysis_has_findings_of_both_and_grades_masses_alone(analysis: Analysis) -> None:
    assert sorted(finding.kind for finding in analysis.findings) == sorted(KINDS * 2)
    for finding in analysis.findings:
        is_mass = finding.kind == "mass"
        assert (finding.malignancy_score is not None) == (finding.malignancy is not None) == is_mass
        assert is_mass or (finding.outline == () and finding.size.area_mm2 is None)
    assert "2 not graded" in analysis.statement


def test_without_a_finding_both_kinds_were_looked_for(analysis: Analysis, image: Path) -> None:
    nothing = analysis.above(1.0)
    assert not nothing.findings and nothing.bundle.kinds == tuple(KINDS)
    report = str(dicom_results(nothing, image, [ResultKind.CAD])[ResultKind.CAD])
    performed = [line for line in report.splitlines() if "Code Meaning" in line and "Cluster" in line]
    assert len(performed) == 1
    assert [kind.name for kind in kinds_shown([], nothing.bundle.kinds)] == KINDS


def test_reports_have_figures_of_each_kind(made: Made, tmp_path: Path) -> None:
    for stage in ("detector", "pipeline"):
        report = json.loads(evaluate(stage, made.dataset, tmp_path / stage, made.bundle, draws=20).read_text())
        assert list(report["kinds"]) == KINDS and "kinds" in report["definition"]
        assert report["lesions"] == 2 * PATIENTS
        assert [report["kinds"][kind]["lesions"] for kind in KINDS] == [PATIENTS] * 2
        assert {report["kinds"][kind]["images"] for kind in KINDS} == {report["images"]} == {2 * PATIENTS}
    cluster = report["kinds"]["calcification"]
    assert cluster["pathology_unknown"] == PATIENTS and "pathology_unknown" not in report["kinds"]["mass"]
    assert cluster["operating_point"]["class_correct"]["value"] is None
    found = [report["kinds"][kind]["thresholds"][0]["found"] for kind in KINDS]
    assert sum(found) == report["thresholds"][0]["found"]


def test_the_classifier_is_measured_on_masses_alone(made: Made, tmp_path: Path) -> None:
    dataset = write_phantoms(tmp_path / "one", 1)
    report = json.loads(evaluate("classifier", dataset, tmp_path / "out", made.bundle, draws=20).read_text())
    assert report["boxes"]["lesions"] == 1 and len(load_dataset(dataset).lesions) == 2


def test_dicom_results_say_what_each_is_and_no_malignancy_of_a_cluster(analysis: Analysis, image: Path) -> None:
    report = dicom_results(analysis, image, [ResultKind.SR])[ResultKind.SR]
    groups = [
        {item.ConceptNameCodeSequence[0].CodeValue: item for item in group.ContentSequence}
        for container in report.ContentSequence
        if container.ConceptNameCodeSequence[0].CodeValue == "126010"
        for group in container.ContentSequence
    ]
    assert len(groups) == 4
    for group, finding in zip(groups, analysis.findings, strict=True):
        is_cluster = group["121071"].ConceptCodeSequence[0].CodeValue == CLUSTER
        assert is_cluster == (finding.kind == "calcification")
        assert (PROBABILITY_OF_CANCER in group) != is_cluster
        said = group[MALIGNANCY_CLASS].ConceptCodeSequence[0].CodeValue
        assert said == (finding.malignancy or "ungraded")


def test_overlay_and_fhir_have_no_malignancy_of_a_cluster(analysis: Analysis, image: Path) -> None:
    overlay = render_overlay(read_mammogram(image), analysis)
    assert (overlay.reshape(-1, 3) == REDDISH_PURPLE).all(axis=1).any()
    resources = json.dumps(fhir_bundle(analysis, read_origin(image, analysis)))
    assert resources.count('"Not graded"') == 2 and resources.count(f'"{PROBABILITY_OF_CANCER}"') == 2


class Describing:
    """A step that calls each cluster linear, of segmental distribution."""

    scope = "exam"
    row_by_row = True

    class Settings(steps.StepSettings):
        attributes: dict[str, tuple[str, ...]]

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: Settings) -> Describing:
        return cls()

    def __call__(self, exam: steps.PreparedExam, found: Candidates) -> Candidates:
        one, other = np.zeros((len(found), 2)), np.zeros((len(found), 2))
        one[:, 1] = other[:, 0] = 1
        one[found.kind == "mass"] = np.nan
        return replace(found, attributes={"morphology": one, "distribution": other})


def test_morphology_and_distribution_reach_the_report(made: Made, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(steps.BUILT_IN, "describing", f"{__name__}:Describing")
    words = {"morphology": ("amorphous", "linear"), "distribution": ("segmental", "grouped")}
    settings = {"attributes": words}
    step = StepManifest(name="describe", role="other", implementation="describing", settings=settings)
    described = analysed(made, image, step)
    for finding in described.findings:
        expected = {} if finding.kind == "mass" else {"morphology": "linear", "distribution": "segmental"}
        assert finding.features == expected
    report: Any = dicom_results(described, image, [ResultKind.SR])[ResultKind.SR]
    text = str(report)
    assert text.count("Fine, linear (casting) calcification") == text.count("Segmental calcification distribution") == 2
