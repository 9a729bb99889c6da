"""Set a bundle's detection threshold, which is also that from which its steps link the findings of an exam."""

from __future__ import annotations

from pathlib import Path

from mammoscope.bundle import Bundle
from mammoscope.stages.manifests import BundleManifest

_NO_SUCH_SETTING = -1.0  # no detection score


def with_detection_threshold(manifest: BundleManifest, folder: Path, threshold: float) -> BundleManifest:
    """The manifest with another detection threshold.

    Steps that looked at the findings of an exam from the old threshold, or from none of their own, look at those from
    the new one.
    """
    old = manifest.thresholds.detection
    changed = manifest.model_copy(
        update={"thresholds": manifest.thresholds.model_copy(update={"detection": threshold})}
    )
    for step in Bundle(folder, manifest, "").grading:
        if getattr(step.settings, "least_detection", _NO_SUCH_SETTING) in (None, old):
            changed = changed.with_settings(step.manifest.name, least_detection=threshold)
    return changed
