"""The DICOM results of an exam in one ZIP archive."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

from mammoscope import NOTICE
from mammoscope.errors import InputError
from mammoscope.server.reported_file import ReportedFile
from mammoscope.server.view_names import download_name
from mammoscope.writers.dicom.exam_sr import exam_report_sr
from mammoscope.writers.dicom.made import Made, reference_to
from mammoscope.writers.dicom.origin import read_origin
from mammoscope.writers.dicom.results import ResultKind, encoded, results_of

KINDS = (ResultKind.SR, ResultKind.SEG, ResultKind.GSPS)
_TEXT, _OF_EXAM = "README.txt", "mammoscope-exam.sr.dcm"


class NothingMadeError(Exception):
    """No image of the exam has results; says why."""


def archive_of(files: Sequence[ReportedFile]) -> tuple[bytes, list[int]]:
    """The results of an exam's images, of several with a report on the exam, and which images have none.

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
    whole, made, names, problems = BytesIO(), list[Made](), list[str](), dict[int, str]()
    with ZipFile(whole, "w", ZIP_DEFLATED) as archive:
        for reported in files:
            try:
                results, one = _results(reported)
            except InputError as error:
                problems[reported.file.number + 1] = error.problem
                continue
            made.append(one)
            for kind, content in results.items():
                names.append(download_name(reported.file, f"{kind.value}.dcm"))
                archive.writestr(names[-1], content)
        if not made:
            number, problem = next(iter(problems.items()))
            raise NothingMadeError(f"no image has DICOM results: image {number}: {problem}")
        if len(made) > 1:
            names.append(_OF_EXAM)
            archive.writestr(_OF_EXAM, encoded(exam_report_sr(made, not_analysed=len(problems))))
        archive.writestr(_TEXT, _said(files[0], names, problems))
    return whole.getvalue(), list(problems)


def _results(reported: ReportedFile) -> tuple[dict[ResultKind, bytes], Made]:
    """Encoded results of one image, and what a report on its exam needs; raises InputError where it has none."""
    if reported.analysis.input.file_format != "DICOM":
        raise InputError(reported.place.upload, f"is a {reported.analysis.input.file_format} file, which has no study")
    origin = read_origin(reported.place.upload, reported.analysis)
    results = results_of(reported.analysis, origin, KINDS)
    return (
        {kind: encoded(result) for kind, result in results.items()},
        Made(reported.analysis, origin, [reference_to(result) for result in results.values()]),
    )


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
