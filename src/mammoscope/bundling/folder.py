"""The folder of a new bundle, which comes into being as a whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mammoscope.bundle import MANIFEST
from mammoscope.errors import RecipeError


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
