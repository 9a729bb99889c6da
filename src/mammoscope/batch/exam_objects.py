"""The structured report on an exam of a batch, beside its JSON report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mammoscope.readers import IsolatedReader
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.writers.dicom.results import ResultKind, result_path, write_result
from mammoscope.writers.exam_json import EXAM_SUFFIX
from mammoscope.writers.json import read_analysis

if TYPE_CHECKING:
    from mammoscope.writers.dicom.made import Unread

SR_SUFFIX = ".exam.sr.dcm"


def write_exam_sr(report: Path, images: Mapping[str, Path], failed: Sequence[Path]) -> Path:
    """Write ``EXAM.exam.sr.dcm``: one that says the same stays as it is, another of this exam is named as replaced.

    Parameters
    ----------
    report
        The JSON report on the exam, in the folder of the results.
    images
        The images that were analysed, by the names of their analyses.
    failed
        Those that were not.

    Raises
    ------
    MammoscopeError
        It cannot be written, or an image or an analysis cannot be read any more.
    """
    from pydicom import dcmread  # noqa: PLC0415 (codecs and pydicom, where they are wanted)

    from mammoscope.writers.dicom.earlier import report_in  # noqa: PLC0415
    from mammoscope.writers.dicom.exam_sr import exam_report_sr  # noqa: PLC0415 (highdicom takes a second to load)
    from mammoscope.writers.dicom.made import Made  # noqa: PLC0415
    from mammoscope.writers.dicom.origin import read_origin  # noqa: PLC0415

    def made(name: str, image: Path) -> Made:
        analysis = read_analysis(report.with_name(name))
        outlines = result_path(report.with_name(name.removesuffix(".json")), ResultKind.SEG)
        results = [dcmread(outlines, stop_before_pixels=True)] if outlines.exists() else []
        return Made(analysis, read_origin(image, analysis), results)

    path = report.with_name(f"{report.name.removesuffix(EXAM_SUFFIX)}{SR_SUFFIX}")
    earlier = report_in(path)
    result = exam_report_sr(
        [made(name, image) for name, image in sorted(images.items())],
        unread=_unread(failed),
        not_analysed=len(failed),
        earlier=[] if earlier is None else [earlier],
    )
    if earlier is None or earlier.reference.sop_instance != result.SOPInstanceUID:
        write_result(path, result)
    return path


def _unread(images: Sequence[Path]) -> list[Unread]:
    """Images that failed, as far as a process of its own can read their headers."""
    from mammoscope.writers.dicom.made import Unread  # noqa: PLC0415

    if not images:
        return []
    with IsolatedReader(DEFAULT_LIMITS.of_header) as reader:
        stated = [reader.stated_image(image) for image in images]
    return [Unread(one) for one in stated if one is not None]
