"""What tests of extensions share: commands run where packages are installed, and bundles that hold their steps."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from mammoscope.bundle import MANIFEST, default_bundle_folder, load_bundle
from mammoscope.datasets.layout import load_dataset

PACKAGES = Path(__file__).parent / "packages"


def mammoscope(site: Path, *arguments: object) -> str:
    """What a command prints where the packages in a folder are installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    command = [sys.executable, "-m", "mammoscope", *map(str, arguments)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def with_step(folder: Path, *steps: dict[str, object], max_regions: int = 2, flips: bool = False) -> Path:
    """A copy of the default bundle with further steps before the selection, and few regions a view: it is quick.

    ``flips``: whether each is classified in four flips, as the default bundle does.
    """
    shutil.copytree(default_bundle_folder(), folder)
    read = (
        load_bundle(folder)
        .manifest.with_settings("detect", max_regions=max_regions)
        .with_settings("classify", flips=flips)
    )
    manifest = json.loads(read.model_dump_json())
    place = next(number for number, step in enumerate(manifest["steps"]) if step["role"] == "select")
    manifest["steps"][place:place] = steps
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def default_said_to_learn_from(data: Path, folder: Path) -> Path:
    """A copy of the default bundle, said to be trained on these data: only then steps are taken from it."""
    shutil.copytree(default_bundle_folder(), folder)
    text = (folder / MANIFEST).read_text()
    text = re.sub(r'"data_sha256": "\w+"', f'"data_sha256": "{load_dataset(data).sha256}"', text)
    (folder / MANIFEST).write_text(text)
    return folder
