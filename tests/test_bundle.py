"""A bundle is used only if it is whole and unaltered."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from held.release import write_release
from mammoscope.bundle import MANIFEST, Bundle, default_bundle_folder, load_bundle
from mammoscope.candidates import Masks, RoiBatch
from mammoscope.errors import BundleError
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.classify import OnnxClassifier
from mammoscope.stages.detect import OnnxDetector
from mammoscope.stages.rescore import OnnxRescorer
from mammoscope.stages.roi import ROI_SIZE
from mammoscope.stages.segment import OnnxSegmenter
from mammoscope.stages.step import NETWORK
from mammoscope.stages.two_views import TwoViews

AVERAGE_MASK_FILE = "average_mask.png"
NETWORKS = ("detect", "rescore", "segment", "classify")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_bundle_folder(), tmp_path / "bundle"))


def _edit(folder: Path, place: str, value: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    *parents, last = place.split(".")
    inner = manifest
    for parent in parents:
        inner = inner[int(parent) if parent.isdigit() else parent]
    inner[last] = value
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.fixture
def of_stages(tmp_path: Path) -> Path:
    """A bundle with a manifest of schema 1."""
    return write_release(tmp_path / "stages")


@pytest.fixture
def as_steps(of_stages: Path) -> Path:
    """The same bundle, its manifest written as a list of steps."""
    manifest = load_bundle(of_stages).manifest
    (of_stages / MANIFEST).write_text(manifest.model_dump_json(indent=2))
    return of_stages


def test_the_default_bundle_loads(bundle: Bundle) -> None:
    loaded = {step.manifest.name: type(step.step) for step in bundle.steps}
    networks = (OnnxDetector, OnnxRescorer, OnnxSegmenter, OnnxClassifier)
    assert loaded == {**dict(zip(NETWORKS, networks, strict=True)), "join": TwoViews}
    assert [step.manifest.name for step in bundle.finding] == ["detect", "rescore"]
    assert bundle.identity.sha256 == bundle.sha256


def test_a_manifest_of_steps_says_what_the_one_of_stages_said(tmp_path: Path, as_steps: Path) -> None:
    bundle, again = load_bundle(write_release(tmp_path / "release")), load_bundle(as_steps)
    assert again.manifest == bundle.manifest
    assert [step.settings for step in again.steps] == [step.settings for step in bundle.steps]
    assert again.sha256 != bundle.sha256, "another manifest, another identity"


@pytest.mark.parametrize("name", NETWORKS)
def test_every_model_says_where_it_comes_from_and_how_good_it_is(bundle: Bundle, name: str) -> None:
    provenance = next(step.provenance for step in bundle.manifest.steps if step.name == name)
    assert provenance is not None
    assert provenance.onnx_difference < 1e-3
    assert provenance.training_patients > 100 and provenance.validation_patients > 100
    assert "CBIS-DDSM" in provenance.credits[0]
    assert provenance.metrics
    for metric, figure in provenance.metrics.items():
        # A bootstrap only adds to the gaps that ECE sums up, so its interval lies high and may lie above the figure.
        if hasattr(figure, "ci95") and not metric.endswith("ece"):
            assert figure.ci95[0] <= figure.value <= figure.ci95[1], metric


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_16_bit_and_nothing_of_the_builders_machine_is_inside(bundle: Bundle, name: str) -> None:
    files = next(step.files for step in bundle.manifest.steps if step.name == name)
    model = onnx.load(bundle.folder / files[NETWORK].file)
    sizes = {onnx.TensorProto.FLOAT: 0, onnx.TensorProto.FLOAT16: 0}
    for tensor in model.graph.initializer:
        if tensor.data_type in sizes:
            sizes[tensor.data_type] += int(np.prod(tensor.dims))
        tensor.ClearField("raw_data")  # among millions of weights some bytes spell anything
    assert sizes[onnx.TensorProto.FLOAT16] > sizes[onnx.TensorProto.FLOAT]
    words = model.SerializeToString()
    assert b"site-packages" not in words and b'File "' not in words and not re.search(rb"\.py\b", words)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("detector.sha256", "0" * 64, "detector.onnx: its SHA-256 is .* the file was altered"),
        ("detector.file", "../../etc/passwd", r"detector\.file: String should match"),
        ("classifier.threshold", 1.5, r"classifier\.threshold: Input should be less than or equal to 1"),
        ("detector.floor", 1.5, r"step 'detect': settings\.floor: Input should be less than or equal to 1"),
        ("classifier.slope", float("nan"), r"bundle\.json: classifier\.slope is nan, it must be in the range"),
        ("classifier.intercept", 1e300, r"bundle\.json: classifier\.intercept is 1e\+300, it must be in the range"),
        ("schema_version", "3", "schema_version is '3', expected '1' or '2'"),
        ("surprise", 1, "surprise: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_manifest_of_schema_1_is_refused_by_name(
    of_stages: Path, place: str, value: object, message: str
) -> None:
    _edit(of_stages, place, value)
    with pytest.raises(BundleError, match=message):
        load_bundle(of_stages)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("steps.0.files.network.sha256", "0" * 64, "detector.onnx: its SHA-256 is .* the file was altered"),
        ("steps.0.files.network.file", "../../etc/passwd", r"steps\.0\.files\.network\.file: String should match"),
        ("steps.0.files.network.file", "..", r"steps\.0\.files\.network\.file: String should match"),
        ("steps.0.files", {}, "step 'detect': has no file labelled 'network', which 'onnx-detector' needs"),
        ("steps.0.settings.surprise", 1, r"step 'detect': settings\.surprise: Extra inputs are not permitted"),
        ("steps.3.settings.threshold", "high", r"step 'segment': settings\.threshold: Input should be a valid number"),
        ("steps.3.name", "detect", "two steps have one name: detect, rescore, select, detect, classify"),
        ("steps.2.role", "other", "steps hold 0 of role 'select', expected one"),
        ("steps.2.implementation", "onnx-detector", "'select' has another implementation"),
        ("steps.3.implementation", "os:system", "entry point of mammoscope.steps is named 'os:system'"),
        ("steps.3.role", "dream", r"steps\.3\.role: Input should be 'detect'"),
        ("thresholds.detection", -1, r"thresholds\.detection: Input should be greater than or equal to 0"),
        ("thresholds", {}, r"thresholds\.detection: Field required"),
        ("steps", [], "steps hold 0 of role 'select', expected one"),
        ("thresholds.detection", float("nan"), r"thresholds\.detection is nan, it must be in the range"),
        ("steps.0.settings.mean", float("-inf"), r"steps\.0\.settings\.mean is -inf, it must be in the range"),
        ("steps.0.provenance.onnx_difference", 1e10, r"steps\.0\.provenance\.onnx_difference is 1[0-9.]*, it must"),
    ],
)
def test_a_wrong_list_of_steps_is_refused_by_name(as_steps: Path, place: str, value: object, message: str) -> None:
    _edit(as_steps, place, value)
    with pytest.raises(BundleError, match=message):
        load_bundle(as_steps).load()


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '{"schema_version": 1}'])
def test_what_is_not_a_manifest_is_refused(copied: Path, content: str) -> None:
    (copied / MANIFEST).write_text(content)
    with pytest.raises(BundleError, match=r"bundle\.json: (is not JSON|schema_version is)"):
        load_bundle(copied)


@pytest.mark.parametrize(
    "name", ["detector.onnx", "reducer.onnx", "segmenter.onnx", "classifier.onnx", AVERAGE_MASK_FILE]
)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_flipped_byte_is_refused_by_name(copied: Path, name: str, place: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[{"first": 0, "middle": len(content) // 2, "last": -1}[place]] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{re.escape(name)}: its SHA-256 is .* the file was altered"):
        load_bundle(copied)


def test_every_file_of_the_bundle_is_hashed_and_the_manifest_gives_the_bundle_its_hash(copied: Path) -> None:
    named = re.findall(r'"file": "([^"]+)"', (copied / MANIFEST).read_text())
    assert {path.name for path in copied.iterdir()} == {MANIFEST, AVERAGE_MASK_FILE, *named}
    before = load_bundle(copied).identity
    manifest = load_bundle(copied).manifest.with_settings("detect", floor=0.9)
    (copied / MANIFEST).write_text(manifest.model_dump_json())
    after = load_bundle(copied).identity
    assert (after.name, after.version) == (before.name, before.version) and after.sha256 != before.sha256


def test_an_altered_or_missing_file_is_refused(copied: Path) -> None:
    model = copied / "segmenter.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    with pytest.raises(BundleError, match=r"segmenter\.onnx: its SHA-256"):
        load_bundle(copied)
    model.unlink()
    with pytest.raises(BundleError, match=r"segmenter\.onnx: cannot be read"):
        load_bundle(copied)
    with pytest.raises(BundleError, match=r"bundle\.json: cannot be read"):
        load_bundle(copied / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", [MANIFEST, "detector.onnx"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_refused_and_not_read(copied: Path, name: str, kind: str) -> None:
    (copied / name).unlink()
    if kind == "pipe":
        os.mkfifo(copied / name)
    else:
        (copied / name).symlink_to("/dev/zero")
    with pytest.raises(BundleError, match=rf"{re.escape(name)}: is not a regular file"):
        load_bundle(copied)


def test_a_step_of_another_package_must_be_installed(as_steps: Path) -> None:
    _edit(as_steps, "steps.0.implementation", "my-detector")
    with pytest.raises(BundleError, match=r"step 'detect': no built-in .* of mammoscope\.steps is named 'my-detector'"):
        load_bundle(as_steps)


@pytest.mark.parametrize("count", [0, 1, 19])
def test_any_number_of_rois_goes_through(bundle: Bundle, count: int) -> None:
    rng = np.random.default_rng(0)
    change = FrameChange(Frame.PREPROCESSED, Frame.ROI)
    rois = RoiBatch(rng.integers(0, 256, (count, ROI_SIZE, ROI_SIZE), dtype=np.uint8), (change,) * count)
    (segmenter,), (classifier, _) = (
        [bundled.step for bundled in bundle.of_roles(role)] for role in ("segment", "classify")
    )
    masks = segmenter.segment(rois)
    assert masks.probabilities.shape == rois.pixels.shape
    scores = classifier.classify(rois, masks)
    assert scores.shape == (count,) and ((scores >= 0) & (scores <= 1)).all()
    if count > 1:  # a case does not depend on its neighbours in the batch
        alone = RoiBatch(rois.pixels[-1:], (change,))
        single = segmenter.segment(alone)
        assert np.abs(single.probabilities[0] - masks.probabilities[-1]).max() < 1e-4
        score = classifier.classify(alone, Masks(masks.probabilities[-1:], masks.threshold))
        assert score[0] == pytest.approx(scores[-1], abs=1e-4)
