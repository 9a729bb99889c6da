"""Set a bundle's detection threshold, which is also that from which its steps link the findings of an exam."""

from __future__ import annotations

from pathlib import Path

from mammoscope.bundle import Bundle
from mammoscope.stages.manifests import BundleManifest


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
        least = getattr(step.settings, "least_detection", threshold)
        if least is None or least == old != threshold:
            changed = changed.with_settings(step.manifest.name, least_detection=threshold)
    return changed
