"""Write the example: four DICOM files and what is in them."""

from __future__ import annotations

import json
from pathlib import Path

from mammoscope.errors import MammoscopeError
from mammoscope.example.dicom_file import phantom_dicom
from mammoscope.example.phantom import PhantomView, make_exam
from mammoscope.files import write_bytes

TRUTH = "truth.json"


def write_exam(folder: Path, seed: int = 0, rows: int = 3328, columns: int = 2560) -> tuple[Path, ...]:
    """Write a phantom exam and ``truth.json``, making the folder where there is none.

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
        The DICOM files: ``phantom-R-CC.dcm``, ``phantom-L-CC.dcm``, ``phantom-R-MLO.dcm``, ``phantom-L-MLO.dcm``.

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
    paths, truth = [], {}
    for number, view in enumerate(make_exam(seed, rows, columns), start=1):
        path = folder / f"phantom-{view.laterality[0]}-{view.view}.dcm"
        write_bytes(path, phantom_dicom(view, seed, number))
        paths.append(path)
        truth[path.name] = _described(view)
    content = {"about": "SYNTHETIC PHANTOM: what was drawn, in pixels of each file.", "seed": seed, "files": truth}
    write_bytes(folder / TRUTH, (json.dumps(content, indent=1) + "\n").encode())
    return tuple(paths)


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
