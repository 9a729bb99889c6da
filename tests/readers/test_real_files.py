"""Real mammograms from DICOM's own samples, where they are at hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mammoscope.mammogram import Laterality, Mammogram
from mammoscope.readers import IsolatedReader, read_mammogram

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "dicom"


def sample(name: str) -> Path:
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip(f"the sample {name} is not at {SAMPLES}")
    return path


def test_a_scanned_film_filed_as_radiography_is_read() -> None:
    read = read_mammogram(sample("MG1_J2KI.dcm"))
    assert (read.height, read.width, read.bits, read.modality) == (4664, 3064, 12, "RG")
    assert (read.laterality, read.view, read.spacing) == (Laterality.LEFT, "MLO", None)
    assert read.warnings == (
        "The file is filed as RG (radiographic film, Secondary Capture Image Storage), not as a mammogram (MG); "
        "it is taken as the scan of a film.",
        "The image was compressed with loss (ratio 10:1); fine detail may be missing.",
        "The file does not say the pixel spacing; sizes in millimetres cannot be given.",
    )
    breast, background = read.pixels[1500:3000, 300:1500], read.pixels[1500:3000, 2200:2600]
    assert np.median(breast) > 2.5 * np.median(background)
    assert read.pixels.max() == 65535


def test_a_test_pattern_in_a_mammography_file_is_read() -> None:
    read = read_mammogram(sample("MG_test_pattern.dcm"))
    assert (read.height, read.width, read.bits, read.modality) == (512, 512, 8, "MG")
    assert (read.laterality, read.view) == (Laterality.RIGHT, "CC")
    assert read.spacing is not None
    # Imager Pixel Spacing is 0.5 mm and the magnification 1.5; the fiducial's calibration is nearer to the truth.
    assert (read.spacing.row_mm, read.spacing.source) == (0.25, "PixelSpacing (FIDUCIAL)")
    assert read.warnings == ("This is a magnification view, unlike the full standard views that the models know.",)


def test_the_isolated_reader_adds_little_time() -> None:
    path = sample("MG1_J2KI.dcm")
    with IsolatedReader() as reader:
        reader.read(path)
        isolated, isolated_seconds = _quicker(lambda: reader.read(path))
    direct, direct_seconds = _quicker(lambda: read_mammogram(path))
    np.testing.assert_array_equal(isolated.pixels, direct.pixels)
    assert isolated_seconds < direct_seconds + 0.5


def _quicker(read: Callable[[], Mammogram]) -> tuple[Mammogram, float]:
    """What is read, and the seconds of the quicker of two times: other tests use the cores too."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        mammogram = read()
        seconds.append(time.perf_counter() - started)
    return mammogram, min(seconds)
