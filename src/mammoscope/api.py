"""The public Python interface: what ``import mammoscope`` offers, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from mammoscope.bundle import Bundle
from mammoscope.bundle import load_bundle as _load_bundle
from mammoscope.exam import Exam
from mammoscope.findings import Analysis
from mammoscope.mammogram import Mammogram
from mammoscope.pipeline import analyze as _analyze
from mammoscope.pipeline import examine_views
from mammoscope.readers import read_mammogram as _read_mammogram

__all__ = ["Analysis", "Bundle", "Mammogram", "analyze", "analyze_exam", "load_bundle", "read_mammogram"]

AnyPath = str | PathLike[str]


def read_mammogram(path: AnyPath) -> Mammogram:
    """Read a DICOM, PNG, JPEG, TIFF or PGM file.

    Raises
    ------
    InputError
        The file cannot be analysed; names it and what is wrong.
    TypeError
        ``path`` is not a path.
    """
    return _read_mammogram(_path(path, "path"))


def load_bundle(folder: AnyPath | None = None) -> Bundle:
    """Load a bundle of models, each file checked against its hash; None takes the built-in one.

    Raises
    ------
    BundleError
        The bundle is incomplete, altered or of another version.
    TypeError
        ``folder`` is not a path.
    """
    return _load_bundle(None if folder is None else _path(folder, "folder"))


def analyze(
    mammogram: Mammogram | AnyPath, bundle: Bundle | AnyPath | None = None, *, threshold: float | None = None
) -> Analysis:
    """Find, outline and classify findings on one mammogram.

    Parameters
    ----------
    mammogram
        As ``read_mammogram`` gives it, or a file.
    bundle
        As ``load_bundle`` gives it, which saves loading it again, or a folder; None takes the built-in one.
    threshold
        Detection score from which findings are reported, in [0, 1]; None takes the bundle's.

    Returns
    -------
    Analysis
        Boxes and outlines in pixels of the original image, (x, y), x right and y down.

    Raises
    ------
    InputError, BundleError
        The file or the bundle cannot be used.
    TypeError, ValueError
        An argument has a wrong type, or the threshold is not in [0, 1].
    """
    models, limit = _bundle(bundle), _threshold(threshold)
    return _analyze(_mammogram(mammogram), models, threshold=limit)


def analyze_exam(
    views: Iterable[Mammogram | AnyPath], bundle: Bundle | AnyPath | None = None, *, threshold: float | None = None
) -> tuple[Analysis, ...]:
    """Find, outline and classify findings on the views of one exam; parameters as for ``analyze``.

    Returns
    -------
    tuple of Analysis
        One for each view, in their order.

    Raises
    ------
    ValueError
        There is no view, or several do not all state one study of one patient: two women never share an exam. PNG,
        JPEG, TIFF and PGM views, which can state none, are taken on your word where no DICOM view is among them.
    InputError, BundleError, TypeError
        As ``analyze``.
    """
    if isinstance(views, Mammogram | str | PathLike):
        raise TypeError(f"views is one {type(views).__name__}, expected several mammograms or files; or use analyze")
    models, limit = _bundle(bundle), _threshold(threshold)
    read = tuple(_mammogram(view) for view in views)
    is_stated = any(view.exam_key or view.file_format == "DICOM" for view in read)
    exam = Exam(read) if is_stated else Exam.vouched(read)
    return tuple(examination.analysis for examination in examine_views(exam.views, models, threshold=limit))


def _mammogram(given: Mammogram | AnyPath) -> Mammogram:
    return given if isinstance(given, Mammogram) else read_mammogram(_path(given, "mammogram"))


def _bundle(given: Bundle | AnyPath | None) -> Bundle:
    return given if isinstance(given, Bundle) else load_bundle(given)


def _path(given: AnyPath, name: str) -> Path:
    if not isinstance(given, str | PathLike):
        raise TypeError(f"{name} is {type(given).__name__}, expected a path (str or os.PathLike)")
    return Path(given)


def _threshold(given: float | None) -> float | None:
    if given is not None and not 0 <= given <= 1:
        raise ValueError(f"threshold is {given}, it must be in the range (0, 1)")
    return given
