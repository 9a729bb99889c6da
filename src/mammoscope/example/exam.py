"""Write the example: four DICOM files and what is in them."""

from __future__ import annotations

import json
from pathlib import Path

from mammoscope.errors import MammoscopeError
from mammoscope.example.dicom_file import phantom_dicom
from mammoscope.example.phantom import COLUMNS, EXAM_VIEWS, ROWS, PhantomView, make_view
from mammoscope.files import write_bytes

TRUTH = "truth.json"
EXAM_FILES = tuple(f"phantom-{side[0]}-{view}.dcm" for side, view in EXAM_VIEWS)


def write_exam(folder: Path, seed: int = 0, rows: int = ROWS, columns: int = COLUMNS) -> tuple[Path, ...]:
    """Write a phantom exam and ``truth.json``, making the folder if there is none.

    Parameters
    ----------
    folder
        Where to write; files of the same names are replaced.
    seed
        The same seed gives the same files.
    rows, columns
        Size of each view.

    Returns
    -------
    tuple of Path
        The DICOM files, named as ``EXAM_FILES``: ``phantom-R-CC.dcm``, ``phantom-L-CC.dcm``, ``phantom-R-MLO.dcm``,
        ``phantom-L-MLO.dcm``.

    Raises
    ------
    MammoscopeError
        The folder or a file cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MammoscopeError(f"{folder}: cannot be made ({error.strerror})") from None
    truth = {
        name: _described(write_view(folder / name, number, seed, rows, columns))
        for number, name in enumerate(EXAM_FILES)
    }
    content = {"about": "SYNTHETIC PHANTOM: what was drawn, in pixels of each file.", "seed": seed, "files": truth}
    write_bytes(folder / TRUTH, (json.dumps(content, indent=1) + "\n").encode())
    return tuple(folder / name for name in EXAM_FILES)


def write_view(path: Path, number: int, seed: int = 0, rows: int = ROWS, columns: int = COLUMNS) -> PhantomView:
    """Write one view of the exam, the one of this place in ``EXAM_FILES``; raises as ``write_exam``."""
    view = make_view(number, seed, rows, columns)
    write_bytes(path, phantom_dicom(view, seed, number + 1))
    return view


def _described(view: PhantomView) -> dict[str, object]:
    masses = [
        {
            "box": [round(value, 2) for value in mass.box],
            "outline": mass.outline.round(2).tolist(),
            "malignant": mass.malignant,
        }
        for mass in view.masses
    ]
    return {
        "laterality": str(view.laterality),
        "view": view.view,
        "spacing_mm": round(view.spacing_mm, 9),
        "masses": masses,
    }
