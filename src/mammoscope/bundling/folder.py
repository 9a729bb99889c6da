"""The folder of a new bundle, which comes into being as a whole, and what is copied into it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mammoscope.bundle import MANIFEST
from mammoscope.errors import RecipeError
from mammoscope.stages.manifests import StepManifest


@contextmanager
def new_bundle_folder(out: Path) -> Iterator[Path]:
    """A folder that takes the place of ``out`` once the block has ended without an error; else nothing is changed.

    What is put beside the folder, in its parent, is gone afterwards.

    Raises
    ------
    RecipeError
        Before the block: ``out`` exists and is not a bundle.
    """
    if out.exists() and not (out / MANIFEST).is_file():
        raise RecipeError(f"{out}: already exists and is not a bundle; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
        folder = Path(place) / "bundle"
        folder.mkdir()
        yield folder
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)


def copied_files(step: StepManifest, source: Path, folder: Path) -> None:
    """Copy a step's files from one bundle's folder into another's; raises as ``copy_file``."""
    for entry in step.files.values():
        copy_file(source / entry.file, folder / entry.file)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file of a step.

    Raises
    ------
    RecipeError
        Another step has a file of that name, or it cannot be copied.
    """
    if target.exists():
        raise RecipeError(f"{source}: another step of the bundle has a file of that name")
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise RecipeError(f"{source}: cannot be copied ({error.strerror})") from None
