"""The results of an analysis as DICOM objects, see ``ResultKind``.

``docs/dicom-results.md`` describes their content and codes. ``origin.py`` and ``identity.py`` hold what all share.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mammoscope.errors import InputError, MammoscopeError, place_of
from mammoscope.files import replacing
from mammoscope.findings import Analysis
from mammoscope.writers.dicom.result_kind import ResultKind
from mammoscope.writers.dicom.silence import without_warnings

if TYPE_CHECKING:
    from pydicom import Dataset

    from mammoscope.writers.dicom.earlier import EarlierReport
    from mammoscope.writers.dicom.origin import Origin

__all__ = ["ResultKind", "dicom_results", "encoded", "kinds_given", "result_path", "results_of", "write_result"]


def dicom_results(
    analysis: Analysis, source: Path, kinds: Collection[ResultKind], *, overlay: NDArray[np.uint8] | None = None
) -> dict[ResultKind, Dataset]:
    """An analysis as DICOM objects of the image's study, each in a separate series.

    The same file, bundle, thresholds and version of the software give the same UIDs, where findings are linked with the
    same ones of other images of the exam.

    Parameters
    ----------
    analysis
        What was found.
    source
        The DICOM file that was analysed.
    kinds
        The objects to make; see ``kinds_given`` for those that an analysis gives.
    overlay
        ``(h, w, 3) uint8`` RGB of ``render_overlay`` for the secondary capture; None: the file is decoded again for it.

    Raises
    ------
    InputError
        The file is not DICOM, is not the one that was analysed, or lacks what a reference needs; names the element.
    """
    from mammoscope.writers.dicom.origin import read_origin  # noqa: PLC0415 (pydicom, where results are wanted)

    return results_of(analysis, read_origin(source, analysis), kinds, overlay=overlay)


def results_of(
    analysis: Analysis,
    origin: Origin,
    kinds: Collection[ResultKind],
    *,
    overlay: NDArray[np.uint8] | None = None,
    earlier: Sequence[EarlierReport] = (),
) -> dict[ResultKind, Dataset]:
    """As ``dicom_results``, of a file whose header has been read.

    ``earlier`` are reports that were made before: the structured report names those on its image that it replaces.
    """
    given = kinds_given(analysis, kinds)
    try:
        with without_warnings():
            return {kind: _result(kind, analysis, origin, given, overlay, earlier) for kind in given}
    except MammoscopeError:
        raise
    except Exception as error:  # what a damaged header makes the libraries raise is not bounded
        raise InputError(origin.path, f"its header cannot be copied ({place_of(error)})") from None


def kinds_given(analysis: Analysis, kinds: Collection[ResultKind]) -> tuple[ResultKind, ...]:
    """Which of the kinds an analysis gives: no segmentation without an outline."""
    outlined = any(finding.outline for finding in analysis.findings)
    return tuple(kind for kind in ResultKind if kind in kinds and (outlined or kind is not ResultKind.SEG))


def result_path(target: Path, kind: ResultKind) -> Path:
    """``<name>.sr.dcm`` and the like beside the other results of a file; ``target`` has no extension."""
    return target.with_name(f"{target.name}.{kind.value}.dcm")


def encoded(result: Dataset) -> bytes:
    """A DICOM file."""
    content = BytesIO()
    result.save_as(content, enforce_file_format=True)
    return content.getvalue()


def write_result(path: Path, result: Dataset) -> None:
    """Write a DICOM file, whole or not at all.

    Raises
    ------
    MammoscopeError
        The file cannot be written.
    """
    with replacing(path) as temporary:
        result.save_as(temporary, enforce_file_format=True)


def _result(
    kind: ResultKind,
    analysis: Analysis,
    origin: Origin,
    given: Collection[ResultKind],
    overlay: NDArray[np.uint8] | None,
    earlier: Sequence[EarlierReport],
) -> Dataset:
    # highdicom takes a second to load, so each module is loaded when it is needed.
    if kind is ResultKind.SR:
        from mammoscope.writers.dicom.identity import segmentation_reference  # noqa: PLC0415
        from mammoscope.writers.dicom.sr import structured_report  # noqa: PLC0415

        outlines = segmentation_reference(analysis, origin) if ResultKind.SEG in given else None
        return structured_report(analysis, origin, outlines, earlier)
    if kind is ResultKind.SEG:
        from mammoscope.writers.dicom.seg import segmentation  # noqa: PLC0415

        return segmentation(analysis, origin)
    if kind is ResultKind.GSPS:
        from mammoscope.writers.dicom.gsps import presentation_state  # noqa: PLC0415

        return presentation_state(analysis, origin)
    if kind is ResultKind.CAD:
        from mammoscope.writers.dicom.cad import cad_report  # noqa: PLC0415

        return cad_report(analysis, origin)
    from mammoscope.writers.dicom.sc import secondary_capture  # noqa: PLC0415

    return secondary_capture(analysis, origin, overlay if overlay is not None else _drawn(analysis, origin.path))


def _drawn(analysis: Analysis, source: Path) -> NDArray[np.uint8]:
    from mammoscope.readers import IsolatedReader  # noqa: PLC0415
    from mammoscope.writers.overlay.picture import render_overlay  # noqa: PLC0415

    with IsolatedReader() as reader:
        return render_overlay(reader.read(source), analysis)
