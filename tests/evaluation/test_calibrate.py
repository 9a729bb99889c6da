"""A bundle fitted to local cases: thresholds that reach what is wanted, malignancy scores, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_stages import breast, lesion, write_dataset
from typer.testing import CliRunner

from mammoscope.bundle import MANIFEST, Bundle, load_bundle
from mammoscope.bundling.local_malignancy import Graded, fitted_malignancy
from mammoscope.bundling.recalibrate import Wanted, recalibrate
from mammoscope.cli.app import app
from mammoscope.datasets.layout import ImageRow, load_dataset, write_layout
from mammoscope.datasets.rows import Lesion
from mammoscope.errors import DatasetError, MammoscopeError, RecipeError
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.evaluation.metrics.thresholds import (
    PatientScores,
    held_out,
    threshold_for_rate,
    threshold_for_share,
    too_vague,
)
from mammoscope.evaluation.run import figures_of
from mammoscope.files import file_sha256
from mammoscope.stages.manifests import BundleManifest, OperatingPoint, StepFile, StepManifest
from mammoscope.stages.preprocess import ContrastSettings, PreprocessSettings

SIDE, CASES, NORMALS = 32, 24, 6
INF = np.inf


@pytest.mark.parametrize(
    ("scores", "share", "threshold"),
    [
        ([0.9, 0.5, 0.4, 0.1], 0.5, 0.5),
        ([0.9, 0.5, 0.4, 0.1], 0.51, 0.4),
        ([0.9, 0.5, 0.4, 0.1], 1.0, 0.1),
        ([0.9, 0.5, -INF, -INF], 0.5, 0.5),
        ([0.9, 0.5, -INF, -INF], 0.75, None),  # two lesions are found at no threshold
        ([], 0.5, None),
    ],
)
def test_the_highest_threshold_for_a_share(scores: list[float], share: float, threshold: float | None) -> None:
    assert threshold_for_share(np.array(scores), share) == threshold


@pytest.mark.parametrize(
    ("units", "rate", "kept"), [(4, 0.5, 2), (4, 0.74, 2), (4, 0.75, 2), (4, 0, 0), (4, 1, 4), (4, 9, 4)]
)
def test_the_lowest_threshold_for_a_rate(units: int, rate: float, kept: int) -> None:
    scores = np.array([0.8, 0.6, 0.3, 0.3])  # of two that are equal neither can pass alone
    threshold = threshold_for_rate(scores, units, rate)
    assert (scores >= threshold).sum() == kept


def test_held_out_thresholds_are_those_of_the_other_patients() -> None:
    true = {"a": np.array([0.9]), "b": np.array([0.5]), "c": np.array([0.2])}
    scores = PatientScores(true, dict.fromkeys(true, np.array([0.4])), dict.fromkeys(true, 2))
    chosen = held_out({"a": 0, "b": 1, "c": 2}, scores.for_share(1.0))
    assert chosen == {"a": 0.2, "b": 0.2, "c": 0.5}
    share, rate = scores.figures(chosen, Bootstrap(50))
    assert (share.value, rate.value) == (pytest.approx(2 / 3), pytest.approx(2 / 6))


def test_a_vague_share_names_how_many_cases_would_do() -> None:
    scores = PatientScores(
        {str(n): np.array([1.0 if n % 2 else -INF]) for n in range(20)},
        {str(n): np.zeros(0) for n in range(20)},
        {str(n): 1 for n in range(20)},
    )
    share, _ = scores.figures(dict.fromkeys(scores.true, 0.5), Bootstrap(500))
    warning = too_vague(share, 20)
    assert warning is not None and "about 1" in warning  # ± 0.22 with 20: some 100


def graded(slope: float, count: int = 60) -> Graded:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, count)
    malignant = rng.uniform(size=count) < 1 / (1 + np.exp(-(slope * logits)))
    return Graded(tuple(f"P{n}" for n in range(count)), logits, malignant)


def test_malignancy_is_recalibrated_where_that_helps() -> None:
    folds = {f"P{n}": n % 5 for n in range(200)}
    platt, report = fitted_malignancy(graded(0.3, 200), folds, Bootstrap(50), Path("local"))
    assert platt is not None and platt.slope == pytest.approx(0.3, abs=0.15)
    assert report["cross_validated"]["brier"]["value"] < report["before"]["brier"]["value"]
    assert "rough" in report["warning"]
    # Three of four where the score says so, in every fold: nothing is to be gained.
    right = Graded(
        tuple(f"P{n}" for n in range(40)),
        np.repeat([np.log(3), -np.log(3)], 20),
        np.repeat([True, False, True, False], [15, 5, 5, 15]),
    )
    left, report = fitted_malignancy(right, folds, Bootstrap(50), Path("local"))
    assert left is None and "no better" in report["warning"]


def test_few_cases_leave_malignancy_as_it_is_and_swapped_labels_are_refused() -> None:
    folds = {f"P{n}": n % 5 for n in range(60)}
    platt, report = fitted_malignancy(graded(1.0, 12), folds, Bootstrap(50), Path("local"))
    assert platt is None and "10 of each are the least" in report["warning"]
    with pytest.raises(DatasetError, match=r"local: malignant lesions score lower .* are labels swapped"):
        fitted_malignancy(graded(-1.0), folds, Bootstrap(50), Path("local"))


def classifier(folder: Path) -> Path:
    """The logit is how much brighter than grey the middle of the region is, in units of a quarter."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, SIDE, SIDE]) for name in ("roi", "mask")]
    window = np.zeros((1, 1, SIDE, SIDE), np.float32)
    window[..., 12:20, 12:20] = 1 / 64
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["roi", "window"], ["seen"]),
            helper.make_node("ReduceSum", ["seen", "axes"], ["whole"], keepdims=0),
            helper.make_node("ReduceSum", ["mask", "axes"], ["area"], keepdims=0),
            helper.make_node("Mul", ["area", "zero"], ["nothing"]),
            helper.make_node("Add", ["whole", "nothing"], ["logit"]),
        ],
        "bright",
        inputs,
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"])],
        [
            numpy_helper.from_array(window, "window"),
            numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes"),
            numpy_helper.from_array(np.float32(0), "zero"),
        ],
    )
    path = folder / "classifier.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Finds what is bright, the larger the surer, and grades it by its brightness; a step of another package."""
    folder = tmp_path_factory.mktemp("bundle")
    path, average = classifier(folder), folder / "average.png"
    cv2.imwrite(str(average), np.full((SIDE, SIDE), 255, np.uint8))
    network = {
        "input_height": SIDE, "input_width": SIDE, "mean": 0.5, "std": 0.25, "slope": 4.0, "intercept": -1.0,
        "contrast": ContrastSettings(clip_limit=0).model_dump(),
    }  # fmt: skip
    manifest = BundleManifest(
        name="bright",
        version="1",
        licence="none",
        notice="none",
        preprocess=PreprocessSettings(),
        thresholds=OperatingPoint(detection=0.5, malignancy=0.5),
        steps=(
            StepManifest(
                name="find",
                role="detect",
                implementation="bright-specks",
                settings={"kinds": ["mass"], "brighter_than": 120},
            ),
            StepManifest(name="select", role="select", implementation="select"),
            StepManifest(
                name="outline",
                role="segment",
                implementation="average-mask",
                files={"average_mask": StepFile(file=average.name, sha256=file_sha256(average))},
            ),
            StepManifest(
                name="classify",
                role="classify",
                implementation="onnx-classifier",
                settings=network,
                files={"network": StepFile(file=path.name, sha256=file_sha256(path))},
            ),
        ),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return load_bundle(folder)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Masses of all sizes, malignant ones brighter more often than not; a false positive on each image; normals."""
    rng = np.random.default_rng(1)
    images, rows, listed = {}, list[Lesion](), []
    radii = rng.permutation(np.arange(7, 7 + CASES))  # no two alike, so that scores differ
    for number in range(CASES + NORMALS):
        name, patient = f"{number}.png", f"P{number}"
        pixels = breast([])
        cv2.circle(pixels, (110, 190), 5 + number % 9, 60000, cv2.FILLED)
        if number < CASES:
            disc = (60, 110, int(radii[number]))
            malignant = number % 2 == 0
            grey = int(rng.integers(45000, 60000) if malignant else rng.integers(38000, 53000))
            cv2.circle(pixels, disc[:2], disc[2], grey, cv2.FILLED)
            rows.append(lesion(name, patient, disc, pathology="MALIGNANT" if malignant else "BENIGN"))
        images[name] = pixels
        listed.append(ImageRow(name, patient, "LEFT", "CC"))
    folder = write_dataset(tmp_path_factory.mktemp("data") / "local", images, rows)
    (folder / "images.csv").write_text(
        "\n".join(["image,patient_id,breast_side,view", *(f"{row.image},{row.patient_id},LEFT,CC" for row in listed)])
    )
    return folder


def test_the_new_bundle_does_what_was_wanted(bundle: Bundle, local: Path, tmp_path: Path) -> None:
    report = recalibrate(local, bundle, tmp_path / "new", Wanted(0.75, malignancy_sensitivity=0.9), draws=100)
    new = load_bundle(tmp_path / "new")
    assert json.loads((tmp_path / "new/calibration.json").read_text())["detection"] == report["detection"]
    assert new.manifest.calibrated is not None and new.manifest.calibrated.lesions == CASES
    assert (new.manifest.version, new.manifest.metrics) == ("1+local", {})
    figures = figures_of("pipeline", local, new, draws=20)
    assert figures["operating_point"]["detected"]["value"] == 0.75  # 18 of 24, exactly
    low, high = report["detection"]["cross_validated"]["sensitivity"]["ci95"]
    assert low <= 0.75 <= high
    assert report["detection"]["false_positives_on"] == "images without a lesion"
    assert "known only to" in report["detection"]["warning"]
    assert report["malignancy"]["before"]["brier"]["value"] > report["malignancy"]["cross_validated"]["brier"]["value"]
    old, fitted = (of.manifest.first("classify").settings for of in (bundle, new))
    assert fitted["slope"] == pytest.approx(report["malignancy"]["slope"]["value"] * old["slope"], abs=1e-5)
    called = figures_of("classifier", local, new, draws=20)["boxes"]
    assert called["sensitivity"]["value"] >= 0.8 and abs(called["calibration_intercept"]["value"]) < 0.4


def test_a_rate_on_normals(bundle: Bundle, local: Path, tmp_path: Path) -> None:
    wanted = Wanted(false_positives=0.5, keep_malignancy=True)
    report = recalibrate(local, bundle, tmp_path / "new", wanted, draws=50)
    new = load_bundle(tmp_path / "new")
    figures = figures_of("detector", local, new, draws=20)
    assert figures["normals"]["false_positives_per_image"]["value"] == 0.5
    assert report["wanted"] == {"false_positives": 0.5, "keep_malignancy": True} and "malignancy" not in report
    assert "counted on 6 images alone" in report["detection"]["warning"]
    assert new.manifest.first("classify") == bundle.manifest.first("classify")


def test_what_cannot_be_reached_or_is_too_little_is_refused(bundle: Bundle, local: Path, tmp_path: Path) -> None:
    few = load_dataset(local).of_patients([f"P{n}" for n in range(6)])
    (tmp_path / "few").mkdir()
    (tmp_path / "few/images").symlink_to(local / "images")

    write_layout(replace(few, folder=tmp_path / "few"))
    with pytest.raises(DatasetError, match="6 lesions of 6 patients are too few"):
        recalibrate(tmp_path / "few", bundle, tmp_path / "new", Wanted(0.7))
    with pytest.raises(RecipeError, match="already exists and is not a bundle"):  # before anything is analysed
        recalibrate(local, bundle, tmp_path / "few", Wanted(0.7), progress=lambda *_: pytest.fail("analysed"))
    with pytest.raises(MammoscopeError, match="one of the two"):
        Wanted(0.7, 0.5)
    assert not (tmp_path / "new").exists()


def test_the_command_says_in_words_what_it_did(bundle: Bundle, local: Path, tmp_path: Path) -> None:
    arguments = [local, "--bundle", bundle.folder, "--out", tmp_path / "new", "--sensitivity", 0.75, "--draws", 20]
    ran = CliRunner().invoke(app, ["calibrate", *map(str, arguments)], catch_exceptions=False)
    assert ran.exit_code == 0
    for said in ("detection threshold", "cross-validated", "before", "warning: the sensitivity is known only to"):
        assert said in ran.stdout
    assert "Research use only" in ran.stdout


def test_it_needs_no_training_packages() -> None:
    code = "import sys, mammoscope.bundling.recalibrate; sys.exit(bool({'torch', 'timm', 'onnx'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
