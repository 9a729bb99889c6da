"""Write the example: four DICOM files and what is in them."""

from __future__ import annotations

from pathlib import Path

from mammoscope.errors import MammoscopeError
from mammoscope.example.dicom_file import phantom_dicom
from mammoscope.example.phantom import COLUMNS, EXAM_VIEWS, ROWS, PhantomView, make_view
from mammoscope.example.settings import DEFAULTS, PhantomSettings, Prior
from mammoscope.example.truth import TrueView, Truth, write_truth
from mammoscope.files import write_bytes

EXAM_FILES = tuple(f"phantom-{side[0]}-{view}.dcm" for side, view in EXAM_VIEWS)
PRIOR_FILES = tuple(f"prior-{name}" for name in EXAM_FILES)


def write_exam(
    folder: Path, seed: int = 0, rows: int = ROWS, columns: int = COLUMNS, settings: PhantomSettings = DEFAULTS
) -> tuple[Path, ...]:
    """Write a phantom exam and ``truth.json``, making the folder if there is none.

    Parameters
    ----------
    folder
        Where to write; files of the same names are replaced.
    seed
        The same seed gives the same files.
    rows, columns
        Size of each view.
    settings
        What is drawn, and how.

    Returns
    -------
    tuple of Path
        The DICOM files, named as ``EXAM_FILES``: ``phantom-R-CC.dcm``, ``phantom-L-CC.dcm``, ``phantom-R-MLO.dcm``,
        ``phantom-L-MLO.dcm``; with an exam before, also its own, named as ``PRIOR_FILES``.

    Raises
    ------
    MammoscopeError
        The folder or a file cannot be written.
    ValueError
        As ``make_view``.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MammoscopeError(f"{folder}: cannot be made ({error.strerror})") from None
    names = EXAM_FILES if settings.prior is Prior.NONE else (*EXAM_FILES, *PRIOR_FILES)
    drawn = {}
    for place, name in enumerate(names):
        number, before = place % len(EXAM_FILES), name in PRIOR_FILES
        view = write_view(folder / name, number, seed, rows, columns, settings, before=before)
        drawn[name] = TrueView.of(view, before=before)
    write_truth(Truth(seed=seed, settings=settings, files=drawn), folder)
    return tuple(folder / name for name in names)


def write_view(
    path: Path,
    number: int,
    seed: int = 0,
    rows: int = ROWS,
    columns: int = COLUMNS,
    settings: PhantomSettings = DEFAULTS,
    *,
    before: bool = False,
) -> PhantomView:
    """Write one view of the exam, the one of this place in ``EXAM_FILES``; see ``make_view``, and ``write_exam``."""
    view = make_view(number, seed, rows, columns, settings, before=before)
    write_bytes(path, phantom_dicom(view, seed, number + 1, settings, before=before))
    return view
