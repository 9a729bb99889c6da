"""The process that identifies and analyses images of the queue."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from pydicom import dcmread
from pydicom.dataset import Dataset

from mammoscope.errors import MammoscopeError
from mammoscope.files import write_durably
from mammoscope.findings import Analysis
from mammoscope.mammogram import Mammogram
from mammoscope.pacs.image_place import REPORT, SELECTION, ImagePlace
from mammoscope.pacs.late_views import SeenAgain, left_out, with_known_lesions
from mammoscope.pipeline import examine_views
from mammoscope.queue.background import Message, Reply, Tools, failure_of, serve_jobs
from mammoscope.readers.dicom.admission import is_for_processing
from mammoscope.readers.dicom.exam_identity import exam_key_of
from mammoscope.readers.dicom.header import Header, read_header
from mammoscope.readers.dicom.views import laterality_of, view_of
from mammoscope.readers.exam_key import ExamSecret
from mammoscope.readers.limits import Limits
from mammoscope.readers.source import read_source
from mammoscope.readers.uids import kept_uid
from mammoscope.writers.dicom.earlier import EarlierReport, report_in, report_of
from mammoscope.writers.dicom.exam_sr import exam_report_sr
from mammoscope.writers.dicom.key_objects import key_objects
from mammoscope.writers.dicom.made import Made, Unread
from mammoscope.writers.dicom.origin import read_origin
from mammoscope.writers.dicom.results import ResultKind, encoded, results_of
from mammoscope.writers.json import read_analysis, write_analysis
from mammoscope.writers.overlay.picture import render_overlay


def main() -> None:
    """Serve the queue."""
    serve_jobs(_work)


def _work(job: Message, tools: Tools, reply: Reply) -> None:
    if job["do"] == "identify":
        secret = ExamSecret.from_message(tools.settings["exam_secret"])
        reply(_identity(ImagePlace(Path(job["folder"])).image, Limits(**tools.settings["limits"]), secret))
    else:
        reply({"images": _analyse(job, tools)})


def _analyse(job: Message, tools: Tools) -> list[Message]:
    """Examine images of one exam together; what came of each of ``images``, a failure as by ``failure_of``.

    Those ``beside`` them are only looked at; one that cannot be read is left out.
    """
    images, beside, earlier = job["images"], job["beside"], _earlier(job)
    read = [_read(one, tools) for one in (*images, *beside)]
    views = [view for view in read if isinstance(view, Mammogram)]
    found = iter(examine_views(views, tools.bundle, threshold=tools.settings["threshold"]) if views else ())
    analyses = [next(found).analysis if isinstance(view, Mammogram) else None for view in read]
    seen = _seen_again(beside, analyses[len(images) :])
    outcomes, made = [], []
    for image, view, analysis in zip(images, read, analyses, strict=False):
        if not isinstance(view, Mammogram) or analysis is None:
            outcomes.append(cast(Message, view))
            continue
        try:
            named = with_known_lesions(analysis, seen)
            made.append(_write(view, named, ImagePlace(Path(image["folder"])), tools, earlier))
            outcomes.append({"outcome": named.outcome, **_named(made[-1].results)})
        except Exception as error:
            outcomes.append(failure_of(error))
    if tools.settings["of_exams"] and made:
        number = next(number for number, outcome in enumerate(outcomes) if "outcome" in outcome)
        try:
            results = _of_exam(job, outcomes, made, earlier, tools)
            for kind, result in results.items():
                write_durably(ImagePlace(Path(images[number]["folder"])).result(kind), encoded(result))
            for name, values in _named(list(results.values())).items():
                outcomes[number][name] += values
        except Exception as error:
            outcomes[number] = failure_of(error)
    return outcomes


def _earlier(job: Message) -> list[EarlierReport]:
    """Reports that were made before: those that the queue remembers, and those that an archive had."""
    remembered = [EarlierReport.from_message(one) for one in job["reports"]]
    fetched = [report_in(path) for path in sorted(Path(job["earlier"]).glob("*.dcm"))]
    return [*remembered, *(one for one in fetched if one is not None)]


def _seen_again(beside: Sequence[Message], now: Sequence[Analysis | None]) -> list[SeenAgain]:
    """Images that were analysed before, as they are found now."""
    seen = []
    for one, analysis in zip(beside, now, strict=True):
        place = ImagePlace(Path(one["folder"]))
        with suppress(MammoscopeError):
            if analysis is not None:
                before = read_analysis(place.analysis)
                seen.append(SeenAgain(analysis, before, read_origin(place.image, before)))
    return seen


def _of_exam(
    job: Message, outcomes: Sequence[Message], made: Sequence[Made], earlier: Sequence[EarlierReport], tools: Tools
) -> dict[str, Dataset]:
    """The results on the exam, by their kind."""
    images = [ImagePlace(Path(one["folder"])) for one in job["images"]]
    failed = [place for place, outcome in zip(images, outcomes, strict=True) if "outcome" not in outcome]
    before = [_made_before(ImagePlace(Path(one["folder"]))) for one in job["beside"]]
    settings = made[0].analysis.bundle, made[0].analysis.thresholds
    alike = [one for one in before if (one.analysis.bundle, one.analysis.thresholds) == settings]
    results: dict[str, Dataset] = {}
    kinds = tools.settings["of_exams"]
    if REPORT in kinds:
        results[REPORT] = exam_report_sr(
            [*made, *alike],
            unread=[
                Unread(stated) for place in failed if (stated := tools.reader.stated_image(place.image)) is not None
            ],
            not_analysed=len(failed) or None,
            warnings=left_out(job["gone"], len(before) - len(alike)),
            earlier=earlier,
        )
    if SELECTION in kinds and (selection := key_objects([*made, *before], results.get(REPORT))) is not None:
        results[SELECTION] = selection
    return results


def _made_before(place: ImagePlace) -> Made:
    analysis = read_analysis(place.analysis)
    results = [dcmread(path, stop_before_pixels=True) for path in place.own_results()]
    return Made(analysis, read_origin(place.image, analysis), results)


def _named(results: Sequence[Dataset]) -> dict[str, list[Any]]:
    """The UIDs of results, and what is to be known of the reports among them."""
    reports = [report for result in results if (report := report_of(result)) is not None]
    return {
        "results": [str(result.SOPInstanceUID) for result in results],
        "reports": [report.to_message() for report in reports],
    }


def _read(image: Message, tools: Tools) -> Mammogram | Message:
    try:
        return dataclasses.replace(tools.reader.read(ImagePlace(Path(image["folder"])).image), name=image["name"])
    except Exception as error:
        return failure_of(error)


def _write(
    mammogram: Mammogram, analysis: Analysis, place: ImagePlace, tools: Tools, earlier: Sequence[EarlierReport]
) -> Made:
    """Write the results of one image; returns when all are on disk."""
    kinds = [ResultKind(kind) for kind in tools.settings["kinds"]]
    overlay = render_overlay(mammogram, analysis) if ResultKind.SC in kinds else None
    origin = read_origin(place.image, analysis)
    results = results_of(analysis, origin, kinds, overlay=overlay, earlier=earlier)
    for stale in place.results():  # of another version of the image, which need not have had the same kinds
        stale.unlink()
    for kind, dataset in results.items():
        write_durably(place.result(kind.value), encoded(dataset))
    write_analysis(analysis, place.analysis)
    return Made(analysis, origin, tuple(results.values()))


def _identity(path: Path, limits: Limits, secret: ExamSecret) -> Message:
    """The values of the header that decide whether an image is analysed.

    ``marks`` are what an image For Presentation and the one For Processing that it was made from have in common.
    """
    header = read_header(read_source(path, limits)).header
    sop_instance = header.text("SOPInstanceUID") or ""
    processing = is_for_processing(header)
    images = [sop_instance] if processing else _sources(header)
    marks = [f"image {uid}" for uid in images]
    if (exposure := _exposure(header)) is not None:
        marks.append(f"exposure {exposure}")
    return {
        "sop_instance": sop_instance,
        "processing": processing,
        "marks": marks,
        "exam_key": exam_key_of(header, secret),
        "study": kept_uid(header.text("StudyInstanceUID")),
    }


def _sources(header: Header) -> list[str]:
    items = header.value("SourceImageSequence") or []
    return [str(item.get("ReferencedSOPInstanceUID", "")) for item in items if isinstance(item, Dataset)]


def _exposure(header: Header) -> str | None:
    """A hash of study, breast, view and time, unique to one exposure; None if one of them is not known."""
    moment = header.text("AcquisitionDateTime") or "".join(
        header.text(keyword) or "" for keyword in ("AcquisitionDate", "AcquisitionTime")
    )
    facts = (header.text("StudyInstanceUID"), laterality_of(header), view_of(header), moment)
    return hashlib.sha256("\n".join(map(str, facts)).encode()).hexdigest() if all(facts) else None
