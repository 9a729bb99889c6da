"""The DICOM results of an exam in one ZIP archive."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

from mammoscope import NOTICE
from mammoscope.errors import InputError
from mammoscope.server.reported_file import ReportedFile
from mammoscope.server.view_names import download_name
from mammoscope.writers.dicom.results import ResultKind, dicom_results, encoded

KINDS = (ResultKind.SR, ResultKind.SEG, ResultKind.GSPS)
_TEXT = "README.txt"


class NothingMadeError(Exception):
    """No image of the exam has results; says why."""


def archive_of(files: Sequence[ReportedFile]) -> tuple[bytes, list[int]]:
    """The results of an exam's images, and which images have none.

    Parameters
    ----------
    files
        One or more images, each with the findings that its results shall hold.

    Returns
    -------
    tuple
        A ZIP archive of DICOM files, with a text that says what they are; and the numbers of images without results,
        counted from 1, as the text names them too.

    Raises
    ------
    NothingMadeError
        No image has results.
    """
    whole, made, problems = BytesIO(), [], {}
    with ZipFile(whole, "w", ZIP_DEFLATED) as archive:
        for reported in files:
            try:
                results = _results(reported)
            except InputError as error:
                problems[reported.file.number + 1] = error.problem
                continue
            for kind, content in results.items():
                name = download_name(reported.file, f"{kind.value}.dcm")
                archive.writestr(name, content)
                made.append(name)
        if not made:
            number, problem = next(iter(problems.items()))
            raise NothingMadeError(f"no image has DICOM results: image {number}: {problem}")
        archive.writestr(_TEXT, _said(files[0], made, problems))
    return whole.getvalue(), list(problems)


def _results(reported: ReportedFile) -> dict[ResultKind, bytes]:
    """Encoded results of one image; raises InputError where it has none."""
    if reported.analysis.input.file_format != "DICOM":
        raise InputError(reported.place.upload, f"is a {reported.analysis.input.file_format} file, which has no study")
    results = dicom_results(reported.analysis, reported.place.upload, KINDS)
    return {kind: encoded(result) for kind, result in results.items()}


def _said(first: ReportedFile, made: Sequence[str], problems: dict[int, str]) -> str:
    thresholds, bundle = first.analysis.thresholds, first.analysis.bundle
    lines = [
        NOTICE,
        "",
        f"What {bundle.name} {bundle.version} ({bundle.sha256[:12]}) found at a detection score of "
        f"{thresholds.detection:.4f} or more. A reader's verdicts, drawings and impression are not in these files.",
        "",
        *made,
    ]
    if problems:
        lines += ["", "Without results:", *(f"image {number}: {problem}" for number, problem in problems.items())]
    return "\n".join(lines) + "\n"
