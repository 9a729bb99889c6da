"""What the server says that a threshold found on validation: what the bundle's manifest states, and nothing else."""

from __future__ import annotations

import pytest
from server_process import Server

from mammoscope.bundle import Bundle
from mammoscope.server.validation import Validation
from mammoscope.stages.manifests import BundleManifest, LocalCalibration


def test_the_bundles_threshold_is_told_with_its_figures_and_data(server: Server, quick_bundle: Bundle) -> None:
    models = quick_bundle.manifest
    said = server.client.get("/health").json()["validation"]
    assert (said["data"], said["images"], said["lesions"]) == ("cbis-ddsm-mass/train", 248, 262)
    first, other = said["points"]
    assert first["threshold"] == models.thresholds.detection
    stated = models.metrics["at_lesion_count.detected"]
    assert not isinstance(stated, float | int)
    low, high = stated.ci95
    assert first["sensitivity"] == {"value": stated.value, "low": low, "high": high}
    assert other["threshold"] == models.metrics["at_one_false_positive.threshold"]
    assert other["false_positives_per_image"]["value"] == pytest.approx(1.0)


def test_a_point_whose_threshold_the_bundle_states_is_told_with_it(bundle: Bundle) -> None:
    metrics = {name: value for name, value in bundle.manifest.metrics.items() if not name.endswith(".threshold")}
    # Bundles of before do not state which threshold has one false positive an image, and none is made up.
    for stated, told in (({}, None), ({"at_one_false_positive.threshold": 0.2}, 0.2)):
        said = Validation.of(bundle.manifest.model_copy(update={"metrics": {**metrics, **stated}}))
        assert said is not None
        assert [point.threshold for point in said.points] == [bundle.manifest.thresholds.detection, told]


LOCAL = LocalCalibration(data="d", data_sha256="0", patients=1, images=1, lesions=1, bundle_sha256="0" * 64)


@pytest.mark.parametrize(
    "update",
    [
        {"metrics": {}},
        {"metrics": {}, "calibrated": LOCAL},
        {"metrics": {"images": 1, "lesions": 1, "at_lesion_count.detected": 0.5}},
    ],
    ids=["none", "calibrated", "a figure without its interval"],
)
def test_where_a_manifest_states_no_point_nothing_is_said(bundle: Bundle, update: dict[str, object]) -> None:
    manifest: BundleManifest = bundle.manifest.model_copy(update=update)
    assert Validation.of(manifest) is None
