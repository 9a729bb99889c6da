"""The bundle that the record is of, 0.4.0: its manifest, of schema 1, over the networks of the built-in bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

from mammoscope.bundle import MANIFEST, default_bundle_folder

RELEASE = Path(__file__).parents[2] / "docs/comparison/bundle-0.4.0.json"


def write_release(folder: Path) -> Path:
    """Copy the bundle into a new folder."""
    shutil.copytree(default_bundle_folder(), folder)
    shutil.copyfile(RELEASE, folder / MANIFEST)
    return folder
