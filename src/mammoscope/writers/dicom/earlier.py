"""Reports that were made before, and which of them a new one replaces (Predecessor Documents, PS3.3 C.17.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from mammoscope.readers.uids import kept_uid
from mammoscope.writers.dicom.codes import EXAM_LEVEL, PRIVATE
from mammoscope.writers.dicom.identity import MAKER
from mammoscope.writers.dicom.silence import without_warnings

_TEMPLATE = "1500"
_LARGEST_REPORT = 16 << 20  # bytes; one of ours with a hundred outlines has 1 MB


@dataclass(frozen=True, order=True)
class Reference:
    """A DICOM object by its UIDs."""

    sop_class: str
    study: str
    series: str
    sop_instance: str

    @classmethod
    def of(cls, dataset: Dataset) -> Reference:
        """To an object; raises ValueError where a UID is missing or none."""
        keywords = ("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        return cls(*(_uid(dataset, keyword) for keyword in keywords))

    def dataset(self) -> Dataset:
        """As highdicom takes it."""
        made = Dataset()
        made.SOPClassUID, made.SOPInstanceUID = self.sop_class, self.sop_instance
        made.StudyInstanceUID, made.SeriesInstanceUID = self.study, self.series
        return made


@dataclass(frozen=True)
class EarlierReport:
    """A structured report that mammoscope made.

    Attributes
    ----------
    reference
        The report.
    images
        SOP Instance UIDs of the images that it is about; not of those that could not be analysed.
    of_exam
        Whether it is one on an exam; the others are each on one image.
    replaces
        The reports that it replaces.
    """

    reference: Reference
    images: frozenset[str]
    of_exam: bool
    replaces: tuple[Reference, ...] = ()

    def to_message(self) -> dict[str, Any]:
        """In JSON."""
        return {
            "reference": vars(self.reference),
            "images": sorted(self.images),
            "of_exam": self.of_exam,
            "replaces": [vars(one) for one in self.replaces],
        }

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> EarlierReport:
        """What ``to_message`` gave."""
        replaces = tuple(Reference(**one) for one in message["replaces"])
        return cls(Reference(**message["reference"]), frozenset(message["images"]), bool(message["of_exam"]), replaces)


def report_in(path: Path) -> EarlierReport | None:
    """The report in a file; None where there is none that mammoscope made."""
    with suppress(Exception), without_warnings():  # what a damaged file makes pydicom raise is not bounded
        if path.stat().st_size <= _LARGEST_REPORT:
            return report_of(dcmread(path))
    return None


def report_of(dataset: Dataset) -> EarlierReport | None:
    """What is to be known of a report; None if mammoscope did not make it. Raises as pydicom does on a damaged one."""
    templates = [item.get("TemplateIdentifier") for item in dataset.get("ContentTemplateSequence", ())]
    if (dataset.get("Modality"), dataset.get("Manufacturer"), templates) != ("SR", MAKER, [_TEMPLATE]):
        return None
    of_exam = _exam_of(dataset)
    if of_exam is None:
        evidence = _references(dataset, "CurrentRequestedProcedureEvidenceSequence")
        images = frozenset(one.sop_instance for one in evidence if one.sop_class != SegmentationStorage)
    else:
        images = frozenset(
            _uid(reference, "ReferencedSOPInstanceUID")
            for item in _content(of_exam)
            for reference in item.get("ReferencedSOPSequence", ())
        )
    replaces = tuple(sorted(_references(dataset, "PredecessorDocumentsSequence")))
    return EarlierReport(Reference.of(dataset), images, of_exam is not None, replaces)


@dataclass(frozen=True)
class Replacing:
    """What a new report is called, and which it names as replaced.

    Attributes
    ----------
    uid
        Its SOP Instance UID: the same for the same content, of which what it replaces is part.
    predecessors
        References to what it replaces; None: nothing.
    """

    uid: UID
    predecessors: list[Dataset] | None

    @classmethod
    def of(
        cls, earlier: Iterable[EarlierReport], images: Sequence[Dataset], uid: Callable[..., UID], *, of_exam: bool
    ) -> Replacing:
        """For a report on these images.

        It replaces reports of its kind on no other images, but for those that another one replaces. A report that is
        there already is made again as it was: so none replaces itself, and no two replace each other.

        Parameters
        ----------
        uid
            What gives the UID of the report from those of what it replaces.
        """
        about = {str(image.SOPInstanceUID) for image in images}
        alike = [one for one in earlier if one.of_exam is of_exam and one.images and one.images <= about]
        outdated = {reference.sop_instance for one in alike for reference in one.replaces}
        latest = {one.reference: one for one in alike if one.reference.sop_instance not in outdated}
        for reference, one in latest.items():
            if _named(uid, one.replaces) == reference.sop_instance:
                return cls(UID(reference.sop_instance), _datasets(one.replaces))
        replaced = tuple(sorted(latest))
        return cls(_named(uid, replaced), _datasets(replaced))


def _named(uid: Callable[..., UID], replaces: Sequence[Reference]) -> UID:
    return uid(*(one.sop_instance for one in replaces))


def _datasets(references: Sequence[Reference]) -> list[Dataset] | None:
    return [one.dataset() for one in references] or None


def _references(dataset: Dataset, keyword: str) -> list[Reference]:
    """What a sequence of studies, series and instances refers to."""
    return [
        Reference(
            _uid(instance, "ReferencedSOPClassUID"),
            _uid(study, "StudyInstanceUID"),
            _uid(series, "SeriesInstanceUID"),
            _uid(instance, "ReferencedSOPInstanceUID"),
        )
        for study in dataset.get(keyword, ())
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]


def _exam_of(dataset: Dataset) -> Dataset | None:
    """The part that says what holds for an exam; None in a report on an image."""
    name = EXAM_LEVEL.value, PRIVATE
    return next((part for part in _content(dataset) if _code(part, "ConceptNameCodeSequence") == name), None)


def _content(item: Dataset) -> Iterator[Dataset]:
    yield from item.get("ContentSequence", ())


def _code(item: Dataset, keyword: str) -> tuple[str, str] | None:
    for code in item.get(keyword, ()):
        return code.get("CodeValue", ""), code.get("CodingSchemeDesignator", "")
    return None


def _uid(dataset: Dataset, keyword: str) -> str:
    uid = kept_uid(dataset.get(keyword))
    if uid is None:
        raise ValueError(f"{keyword} is no UID")
    return uid
