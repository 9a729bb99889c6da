"""The process that identifies and analyses images of the queue."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from mammoscope.findings import Analysis
from mammoscope.mammogram import Mammogram
from mammoscope.pacs.durable import write_durably
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
from mammoscope.writers.dicom.results import ResultKind, dicom_results
from mammoscope.writers.json import write_analysis
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
    outcomes = []
    for image, view in zip(images, read, strict=False):
        if not isinstance(view, Mammogram):
            outcomes.append(view)
            continue
        try:
            outcomes.append(_write(view, next(found).analysis, ImagePlace(Path(image["folder"])), tools))
        except Exception as error:
            outcomes.append(failure_of(error))
    return outcomes


def _read(image: Message, tools: Tools) -> Mammogram | Message:
    try:
        return dataclasses.replace(tools.reader.read(ImagePlace(Path(image["folder"])).image), name=image["name"])
    except Exception as error:
        return failure_of(error)


def _write(mammogram: Mammogram, analysis: Analysis, place: ImagePlace, tools: Tools) -> Message:
    """Write the results of one image; answers their UIDs when all are on disk."""
    kinds = [ResultKind(kind) for kind in tools.settings["kinds"]]
    overlay = render_overlay(mammogram, analysis) if ResultKind.SC in kinds else None
    results = dicom_results(analysis, place.image, kinds, overlay=overlay)
    for earlier in place.results():  # of another version of the image, which need not have had the same kinds
        earlier.unlink()
    for kind, dataset in results.items():
        write_durably(place.result(kind.value), _encoded(dataset))
    write_analysis(analysis, place.analysis)
    return {"outcome": analysis.outcome, "results": [str(dataset.SOPInstanceUID) for dataset in results.values()]}


def _encoded(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


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
