"""The bundle that the record is of, 0.4.0: its manifest, of schema 1, over the networks of the built-in bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

from mammoscope.bundle import MANIFEST, default_bundle_folder


def write_release(folder: Path) -> Path:
    """Copy the bundle into a new folder."""
    shutil.copytree(default_bundle_folder(), folder)
    shutil.copyfile(Path(__file__).parent / "recorded" / MANIFEST, folder / MANIFEST)
    return folder
