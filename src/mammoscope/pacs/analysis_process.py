"""The process that identifies and analyses images of the queue."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from mammoscope.files import write_durably
from mammoscope.findings import Analysis
from mammoscope.mammogram import Mammogram
from mammoscope.pacs.image_place import ImagePlace
from mammoscope.pipeline import examine_views
from mammoscope.queue.background import Message, Reply, Tools, failure_of, serve_jobs
from mammoscope.readers.dicom.admission import is_for_processing
from mammoscope.readers.dicom.exam_identity import exam_key_of
from mammoscope.readers.dicom.header import Header, read_header
from mammoscope.readers.dicom.views import laterality_of, view_of
from mammoscope.readers.exam_key import ExamSecret
from mammoscope.readers.limits import Limits
from mammoscope.readers.source import read_source
from mammoscope.writers.dicom.key_objects import key_objects
from mammoscope.writers.dicom.made import Made
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
        reply({"images": _analyse(job["images"], job["beside"], tools)})


def _analyse(images: Sequence[Message], beside: Sequence[Message], tools: Tools) -> list[Message]:
    """Examine images of one exam together; what came of each of ``images``, a failure as by ``failure_of``.

    Those ``beside`` them are only looked at; one that cannot be read is left out.
    """
    read = [_read(one, tools) for one in (*images, *beside)]
    views = [view for view in read if isinstance(view, Mammogram)]
    found = iter(examine_views(views, tools.bundle, threshold=tools.settings["threshold"]) if views else ())
    outcomes, made = [], []
    for image, view in zip(images, read, strict=False):
        if not isinstance(view, Mammogram):
            outcomes.append(view)
            continue
        try:
            made.append(_write(view, next(found).analysis, ImagePlace(Path(image["folder"])), tools))
            outcomes.append({"outcome": made[-1].analysis.outcome, "results": _uids(made[-1].results)})
        except Exception as error:
            outcomes.append(failure_of(error))
    if tools.settings["key_objects"] and made:
        _select(made, images, beside, outcomes)
    return outcomes


def _select(
    made: Sequence[Made], images: Sequence[Message], beside: Sequence[Message], outcomes: list[Message]
) -> None:
    """Write the exam's key objects beside the results of its first image that was analysed."""
    number = next(number for number, outcome in enumerate(outcomes) if "outcome" in outcome)
    try:
        selection = key_objects([*made, *(_made_before(ImagePlace(Path(one["folder"]))) for one in beside)])
        if selection is not None:
            write_durably(ImagePlace(Path(images[number]["folder"])).result("ko"), encoded(selection))
            outcomes[number]["results"] += _uids([selection])
    except Exception as error:
        outcomes[number] = failure_of(error)


def _made_before(place: ImagePlace) -> Made:
    analysis = read_analysis(place.analysis)
    results = [dcmread(path, stop_before_pixels=True) for path in place.results()]
    return Made(analysis, read_origin(place.image, analysis), [one for one in results if one.Modality != "KO"])


def _uids(results: Iterable[Dataset]) -> list[str]:
    return [str(result.SOPInstanceUID) for result in results]


def _read(image: Message, tools: Tools) -> Mammogram | Message:
    try:
        return dataclasses.replace(tools.reader.read(ImagePlace(Path(image["folder"])).image), name=image["name"])
    except Exception as error:
        return failure_of(error)


def _write(mammogram: Mammogram, analysis: Analysis, place: ImagePlace, tools: Tools) -> Made:
    """Write the results of one image; returns when all are on disk."""
    kinds = [ResultKind(kind) for kind in tools.settings["kinds"]]
    overlay = render_overlay(mammogram, analysis) if ResultKind.SC in kinds else None
    origin = read_origin(place.image, analysis)
    results = results_of(analysis, origin, kinds, overlay=overlay)
    for earlier in place.results():  # of another version of the image, which need not have had the same kinds
        earlier.unlink()
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
