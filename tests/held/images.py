"""The images whose findings are held: by the name that they have in the record."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

from held.drawn import drawn_breasts
from mammoscope.example import write_exam
from mammoscope.mammogram import Mammogram
from mammoscope.readers import read_mammogram

Images = Iterator[tuple[str, Mammogram]]

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
FILM = SHARED / "dicom" / "MG1_J2KI.dcm"
TRAINING = SHARED / "cbis-ddsm-mass" / "train"
TRAINING_IMAGES, PLAIN_IMAGES = 40, 6


def phantom_exam(folder: Path) -> Images:
    """What ``mammoscope example`` writes: four views, seed 0."""
    for path in write_exam(folder):
        yield path.stem, read_mammogram(path)


def film(_: Path) -> Images:
    """A real mammogram as DICOM, JPEG 2000."""
    yield FILM.stem, read_mammogram(FILM)


def training_images(_: Path) -> Images:
    """Images spread over the training patients with the pixel aspect that the dataset knows; a few as plain files."""
    names, opened = _open(TRAINING)
    chosen = names[:: len(names) // TRAINING_IMAGES][:TRAINING_IMAGES]
    for name in chosen:
        yield Path(name).stem, opened(name)
    for name in chosen[:: len(chosen) // PLAIN_IMAGES][:PLAIN_IMAGES]:
        yield f"{Path(name).stem} as a plain file", read_mammogram(TRAINING / "images" / name)


GROUPS: dict[str, Callable[[Path], Images]] = {
    "phantom-exam": phantom_exam,
    "drawn-breasts": drawn_breasts,
    "film": film,
    "training-images": training_images,
}
NEEDS = {"film": FILM, "training-images": TRAINING / "lesions.csv"}


def _open(folder: Path) -> tuple[list[str], Callable[[str], Mammogram]]:
    """Names of a dataset's images in alphabetical order, and what opens one: the one place that knows the loaders."""
    try:
        load = importlib.import_module("mammoscope.datasets.layout").load_dataset
    except ModuleNotFoundError:  # the release that is held
        load = importlib.import_module("mammoscope.datasets.lesions").load_dataset
    open_image = importlib.import_module("mammoscope.datasets.images").dataset_mammogram
    dataset = load(folder)
    return sorted(dataset.images), lambda name: open_image(dataset, name)
