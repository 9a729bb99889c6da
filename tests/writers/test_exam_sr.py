"""The report on an exam: valid, of one woman, true to the analyses, and clear about what it replaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import highdicom as hd
import pydicom
import pytest
from dicom_checks import COLUMNS, ROWS, analysed, validate, write_variant
from made_analyses import finding
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from mammoscope import NOTICE
from mammoscope.errors import MammoscopeError
from mammoscope.example.exam import write_view
from mammoscope.findings import Finding, Outcome
from mammoscope.readers.identify import read_stated_image
from mammoscope.writers.dicom.codes import exam_summary
from mammoscope.writers.dicom.earlier import EarlierReport, Reference, Replacing, report_in, report_of
from mammoscope.writers.dicom.exam_sr import exam_report_sr
from mammoscope.writers.dicom.made import Made, Unread
from mammoscope.writers.dicom.origin import read_origin, uid_of
from mammoscope.writers.dicom.results import ResultKind, dicom_results, results_of, write_result

KINDS = (ResultKind.SR, ResultKind.SEG)
BOX, OTHER_BOX = (100.25, 120.5, 180.75, 230.0), (20.0, 30.0, 60.0, 90.0)
LESION = "2.25.47121234"
R_CC, L_CC, R_MLO, L_MLO = range(4)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The four views of a small phantom."""
    folder = tmp_path_factory.mktemp("exam")
    files = [folder / f"{number}.dcm" for number in range(4)]
    for number, path in enumerate(files):
        write_view(path, number, 0, ROWS, COLUMNS)
    return files


def made(path: Path, *findings: Finding, kinds: Sequence[ResultKind] = KINDS, outcome: str | None = None) -> Made:
    analysis = analysed(path, *findings, outcome=outcome)
    return Made(analysis, read_origin(path, analysis), tuple(dicom_results(analysis, path, kinds).values()))


def unread(path: Path) -> Unread:
    stated = read_stated_image(path)
    assert stated is not None
    return Unread(stated)


def uid(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def of(report: Dataset) -> EarlierReport:
    known = report_of(report)
    assert known is not None
    return known


@pytest.fixture(scope="module")
def exam(paths: list[Path]) -> list[Made]:
    """One lesion on both views of the right breast, a finding without an outline, and a left breast without any."""
    return [
        made(paths[R_CC], finding(OTHER_BOX, 0.2, 0.9, outline=()), finding(BOX, 0.8, 0.6, lesion=LESION)),
        made(paths[L_CC]),
        made(paths[R_MLO], finding(BOX, 0.7, 0.5, lesion=LESION)),
    ]


@dataclass
class Part:
    """What the report says of the exam, a breast, a view or a lesion, and the parts inside."""

    codes: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    uid: str = ""
    inside: dict[str, list[Part]] = field(default_factory=dict)


def read_part(item: Any) -> Part:
    part = Part()
    for one in item.ContentSequence:
        name = one.ConceptNameCodeSequence[0].CodeValue
        if one.ValueType == "CONTAINER":
            part.inside.setdefault(name, []).append(read_part(one))
        elif one.ValueType == "CODE":
            part.codes[name] = one.ConceptCodeSequence[0].CodeMeaning
        elif one.ValueType == "NUM":
            measured = one.MeasuredValueSequence[0]
            part.numbers[name] = float(measured.NumericValue)
            is_score = measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"
            assert is_score == ("ContentSequence" in one)  # that it is the maximum
        elif one.ValueType == "IMAGE":
            part.images.append(str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID))
        elif one.ValueType == "UIDREF":
            part.uid = str(one.UID)
        elif one.ValueType == "TEXT":
            part.texts.append(one.TextValue)
    return part


COUNT, DETECTION, MALIGNANCY, OUTCOME, LATERALITY, VIEW = (
    "finding-count",
    "111012",
    "111047",
    "111017",
    "272741003",
    "111031",
)


def test_the_report_on_an_exam_says_what_the_analyses_say(paths: list[Path], exam: list[Made], tmp_path: Path) -> None:
    report = exam_report_sr(exam, unread=[unread(paths[L_MLO])], not_analysed=1, warnings=["The exam was cut short."])
    path = tmp_path / "exam.sr.dcm"
    write_result(path, report)
    validate(path)
    read, source = hd.sr.srread(path), pydicom.dcmread(paths[R_CC])
    assert (read.SOPClassUID, read.ContentQualification) == (Comprehensive3DSRStorage, "RESEARCH")
    assert (read.StudyInstanceUID, read.PatientID) == (source.StudyInstanceUID, source.PatientID)
    segmentations = [one for view in exam for one in view.results if one.SOPClassUID == SegmentationStorage]
    assert len(segmentations) == 2
    assert {str(one[2]) for one in read.get_evidence()} == {
        *map(uid, paths),
        *(o.SOPInstanceUID for o in segmentations),
    }

    last = pydicom.dcmread(path).ContentSequence[-1]
    assert last.ConceptNameCodeSequence[0].CodeValue == "exam"
    whole = read_part(last)
    assert whole.numbers == {COUNT: 3, DETECTION: 90, MALIGNANCY: 80}
    assert whole.images == [uid(paths[view]) for view in (R_CC, L_CC, R_MLO)]
    right, left = whole.inside["breast"]
    assert (right.codes[LATERALITY], right.numbers[COUNT], left.codes[LATERALITY]) == ("Right", 3, "Left")
    assert left.numbers == {COUNT: 0} and left.images == [uid(paths[L_CC])]
    succeeded, none = "All algorithms succeeded; with", "No algorithms succeeded; without findings"
    views = [
        (view.images, view.codes[VIEW], view.codes[OUTCOME], view.numbers.get(COUNT))
        for breast in (right, left)
        for view in breast.inside["view"]
    ]
    assert views == [
        ([uid(paths[R_CC])], "cranio-caudal", f"{succeeded} findings", 2),
        ([uid(paths[R_MLO])], "medio-lateral oblique", f"{succeeded} findings", 1),
        ([uid(paths[L_CC])], "cranio-caudal", f"{succeeded}out findings", 0),
        ([uid(paths[L_MLO])], "medio-lateral oblique", none, None),
    ]
    assert left.inside["view"][1].texts == ["This image could not be analysed."]
    (lesion,) = right.inside["lesion"]
    assert (lesion.uid, lesion.codes["121071"], "lesion" in left.inside) == (LESION, "Mass", False)
    assert lesion.numbers == {COUNT: 2, DETECTION: 60, MALIGNANCY: 80}
    assert lesion.images == [uid(paths[R_CC]), uid(paths[R_MLO])]
    texts = {str(element.value) for element in read.iterall() if element.VR == "UT"}
    assert {NOTICE, "The exam was cut short.", "1 file of this exam could not be analysed."} <= texts
    assert "Taken for one lesion: R CC finding 2, R MLO finding 1." in texts
    assert (
        "3 images analysed. 3 findings at or above the detection threshold of 0.30, 2 of malignant appearance." in texts
    )
    assert summary_of(pydicom.dcmread(path)) == "111244"  # not all algorithms succeeded; with findings


def test_each_finding_refers_to_its_image_and_its_segment(exam: list[Made], tmp_path: Path) -> None:
    write_result(tmp_path / "exam.sr.dcm", exam_report_sr(exam))
    groups = hd.sr.srread(tmp_path / "exam.sr.dcm").content.get_planar_roi_measurement_groups()
    expected = [(view, number) for view in (exam[0], exam[2]) for number in range(len(view.analysis.findings))]
    assert len(groups) == len(expected) == 3
    for group, (view, number) in zip(groups, expected, strict=True):
        shown = view.analysis.findings[number]
        assert group.roi.value.shape == (len(shown.outline or "four") + 1, 2)
        (image,) = group.roi.ContentSequence
        assert image.referenced_sop_instance_uid == view.origin.image.SOPInstanceUID
        assert str(group.tracking_uid) == (shown.lesion or str(view.origin.uid("finding", number + 1)))
        references = [one.ReferencedSOPSequence[0] for one in group[0].ContentSequence if one.name.value == "113076"]
        assert len(references) == bool(shown.outline)
        for reference in references:
            (segmentation,) = [one for one in view.results if one.SOPClassUID == SegmentationStorage]
            assert reference.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
            segment = segmentation.SegmentSequence[int(reference.ReferencedSegmentNumber) - 1]
            assert segment.TrackingUID == group.tracking_uid


def test_the_report_on_an_image_refers_to_its_segments_where_it_has_any(paths: list[Path]) -> None:
    analysis = analysed(paths[R_CC], finding(OTHER_BOX, outline=()), finding(BOX))
    both, alone = (dicom_results(analysis, paths[R_CC], kinds) for kinds in (KINDS, [ResultKind.SR]))
    numbers = {
        (str(item.ReferencedSOPInstanceUID), int(item.ReferencedSegmentNumber))
        for item in both[ResultKind.SR].iterall()
        if item.VR == "SQ"
        for item in item.value
        if "ReferencedSegmentNumber" in item
    }
    assert numbers == {(str(both[ResultKind.SEG].SOPInstanceUID), 1)}
    assert not [one for one in alone[ResultKind.SR].iterall() if one.keyword == "ReferencedSegmentNumber"]
    assert alone[ResultKind.SR].SOPInstanceUID != both[ResultKind.SR].SOPInstanceUID  # it says other things


def test_the_same_content_has_the_same_uids_and_another_has_others(paths: list[Path], exam: list[Made]) -> None:
    first = exam_report_sr(exam)
    again = exam_report_sr(exam[::-1])
    assert (again.SOPInstanceUID, again.SeriesInstanceUID) == (first.SOPInstanceUID, first.SeriesInstanceUID)
    others = [
        exam_report_sr(exam, not_analysed=2),
        exam_report_sr([Made(exam[0].analysis, exam[0].origin, ()), *exam[1:]]),  # without its segmentation
        exam_report_sr([*exam, made(paths[L_MLO])]),
    ]
    assert len({first.SOPInstanceUID, *(one.SOPInstanceUID for one in others)}) == 1 + len(others)
    series = {(one.SeriesInstanceUID, one.SeriesNumber, one.SeriesDescription) for one in (first, *others)}
    assert len(series) == 1  # of which a viewer takes the last


@pytest.mark.parametrize(
    ("outcomes", "not_analysed", "code"),
    [
        (["no_finding", "findings"], 0, "111242"),
        (["no_finding", "no_finding"], None, "111241"),
        (["no_finding"], 1, "111243"),
        (["findings", "no_breast_found"], 0, "111244"),
        (["no_breast_found", "no_breast_found"], 0, "111245"),
    ],
)
def test_the_outcome_of_an_exam(outcomes: list[Outcome], not_analysed: int | None, code: str) -> None:
    assert exam_summary(outcomes, not_analysed).value == code


@pytest.mark.parametrize(("keyword", "value"), [("StudyInstanceUID", "2.25.4712"), ("PatientID", "SOMEBODY ELSE")])
def test_two_women_or_studies_never_come_into_one_report(
    keyword: str, value: str, paths: list[Path], exam: list[Made], tmp_path: Path
) -> None:
    other = write_variant(paths[L_MLO], tmp_path / "other.dcm", lambda dataset: setattr(dataset, keyword, value))
    with pytest.raises(MammoscopeError, match=rf"other\.dcm: its {keyword} is not that of 0\.dcm") as refused:
        exam_report_sr([*exam, made(other)])
    assert value not in str(refused.value)
    if keyword == "StudyInstanceUID":
        with pytest.raises(MammoscopeError, match="of another study"):
            exam_report_sr(exam, unread=[unread(other)])


def test_one_woman_may_be_written_in_two_character_sets(paths: list[Path], tmp_path: Path) -> None:
    def written(place: int, character_set: str) -> Made:
        def change(dataset: Dataset) -> None:
            dataset.SpecificCharacterSet, dataset.PatientID = character_set, "Ä-17"

        return made(write_variant(paths[place], tmp_path / f"{place}.dcm", change), kinds=())

    exam = [written(R_CC, "ISO_IR 100"), written(L_CC, "ISO_IR 192")]
    report = exam_report_sr(exam)
    path = tmp_path / "exam.sr.dcm"
    write_result(path, report)
    assert pydicom.dcmread(path).PatientID == "Ä-17" and "Ä-17".encode("latin-1") in path.read_bytes()


def test_an_image_without_a_series_can_still_be_referred_to(paths: list[Path], tmp_path: Path) -> None:
    bare = write_variant(paths[0], tmp_path / "bare.dcm", lambda dataset: delattr(dataset, "SeriesInstanceUID"))
    reference = unread(bare).image
    assert reference.SOPInstanceUID == uid(bare) and reference.SeriesInstanceUID == unread(bare).image.SeriesInstanceUID


def test_a_late_image_gives_a_report_that_names_the_one_it_replaces(
    paths: list[Path], exam: list[Made], tmp_path: Path
) -> None:
    first = exam_report_sr(exam, unread=[unread(paths[L_MLO])], not_analysed=1)
    assert of(first).images == {uid(path) for path in paths[:L_MLO]}
    whole = [*exam, made(paths[L_MLO])]
    late = exam_report_sr(whole, earlier=[of(first)])
    write_result(tmp_path / "late.sr.dcm", late)
    validate(tmp_path / "late.sr.dcm")
    known = report_in(tmp_path / "late.sr.dcm")
    assert known == of(late) and known is not None and known.of_exam
    assert known.images == {uid(path) for path in paths} and known.replaces == (Reference.of(first),)
    assert EarlierReport.from_message(known.to_message()) == known
    again = exam_report_sr(whole, earlier=[of(first), known])
    assert of(again) == known
    fewer = exam_report_sr(exam, earlier=[known])  # it has an image that these have not
    assert of(fewer).replaces == ()


def test_a_report_on_an_image_replaces_those_of_other_models_on_it_alone(
    paths: list[Path], exam: list[Made], tmp_path: Path
) -> None:
    path, analysis = paths[R_CC], exam[0].analysis
    older = of(exam[0].results[0])
    assert not older.of_exam and older.images == {uid(path)}
    newer = analysis.model_copy(update={"bundle": analysis.bundle.model_copy(update={"sha256": "ef" * 32})})
    earlier = [older, of(exam[2].results[0]), of(exam_report_sr(exam))]
    results = results_of(newer, read_origin(path, newer), KINDS, earlier=earlier)
    assert of(results[ResultKind.SR]).replaces == (older.reference,)
    target = tmp_path / "newer.sr.dcm"
    write_result(target, results[ResultKind.SR])
    validate(target)
    plain = dicom_results(analysis, path, KINDS)[ResultKind.SR]
    assert plain.SOPInstanceUID == older.reference.sop_instance and "PredecessorDocumentsSequence" not in plain


def report(name: str, *replaces: str, images: str = "a", of_exam: bool = False) -> EarlierReport:
    """A made-up report; UIDs are made of names."""
    references = [Reference("1.2", "1.3", "1.4", str(uid_of(one))) for one in (name, *replaces)]
    return EarlierReport(references[0], frozenset(str(uid_of(one)) for one in images), of_exam, tuple(references[1:]))


@pytest.mark.parametrize(
    ("earlier", "replaced"),
    [
        ([], ""),
        ([report("x")], "x"),
        ([report("x"), report("y", "x")], "y"),
        ([report("x"), report("y")], "xy"),  # neither knows of the other
        ([report("x", "y"), report("y", "x")], ""),
        ([report("x", images="ab"), report("y", images="c"), report("z", images="")], ""),
        ([report("x", of_exam=True)], ""),
    ],
)
def test_what_a_report_replaces(earlier: list[EarlierReport], replaced: str) -> None:
    image = Dataset()
    image.SOPInstanceUID = uid_of("a")

    def new(*uids: str) -> Any:
        return uid_of("new", *uids)

    found = Replacing.of(earlier, [image], new, of_exam=False)
    expected = sorted(str(uid_of(one)) for one in replaced)
    assert [one.SOPInstanceUID for one in found.predecessors or []] == expected and found.uid == new(*expected)
    # Once it is there it is made again as it was, also where a later one has become its successor.
    itself = EarlierReport(
        Reference("1.2", "1.3", "1.4", str(found.uid)),
        frozenset({str(image.SOPInstanceUID)}),
        of_exam=False,
        replaces=tuple(Reference("1.2", "1.3", "1.4", one) for one in expected),
    )
    assert Replacing.of([*earlier, itself], [image], new, of_exam=False).uid == found.uid


@pytest.mark.parametrize("spoil", ["Manufacturer", "ContentTemplateSequence", "SOPInstanceUID", "all"])
def test_only_whole_reports_of_mammoscope_are_recognised(spoil: str, exam: list[Made], tmp_path: Path) -> None:
    path = tmp_path / "x.sr.dcm"
    write_result(path, exam[0].results[0])
    if spoil == "all":
        path.write_bytes(path.read_bytes()[:2000])
    else:
        dataset = pydicom.dcmread(path)
        delattr(dataset, spoil)
        dataset.save_as(path)
    assert report_in(path) is None and report_in(tmp_path / "missing.dcm") is None


def summary_of(report: Any) -> str:
    (part,) = [one for one in report.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "C0034375"]
    return str(part.ContentSequence[0].ConceptCodeSequence[0].CodeValue)
