"""Make an exam and its DICOM results: ``python make_results.py FOLDER``. The images are synthetic."""

from __future__ import annotations

import sys
from pathlib import Path

from mammoscope import load_bundle
from mammoscope.batch import Options, analyze_files
from mammoscope.example import write_exam
from mammoscope.writers.dicom.results import ResultKind

SEED = 6  # a plain mass in both left views


def main(folder: Path) -> None:
    images = write_exam(folder / "images", SEED, 1248, 960)
    kinds = frozenset({ResultKind.SR, ResultKind.SEG, ResultKind.GSPS, ResultKind.CAD})
    options = Options(dicom=kinds)
    assert all(done.error is None for done in analyze_files(images, folder / "results", load_bundle(), options))
    # Nothing reaches this threshold.
    other = write_exam(folder / "other", SEED + 1, 416, 320)[:1]
    assert all(
        done.error is None for done in analyze_files(other, folder / "none", load_bundle(), Options(1.0, dicom=kinds))
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
