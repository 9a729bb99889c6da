"""Every kind of finding goes through every writer and comes out under its own word and code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path

import cv2
import highdicom as hd
import jsonschema
import numpy as np
import pydicom
import pypdf
import pytest
from dicom_checks import COLUMNS, ROWS, analysed, validate
from made_analyses import analysis, finding, mammogram
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from rich.console import Console

from mammoscope import kinds
from mammoscope.bundle import Bundle
from mammoscope.candidates import Candidates
from mammoscope.errors import BundleError, InputError, MammoscopeError
from mammoscope.example.exam import write_view
from mammoscope.findings import SCHEMA_VERSION, Analysis, Finding, Size
from mammoscope.kinds import AREA, EXTENT, KINDS, SOUGHT, Coded, Kind, kind_named, kinds_shown
from mammoscope.mammogram import PixelSpacing
from mammoscope.pipeline import analyze
from mammoscope.readers import read_mammogram
from mammoscope.server.file_place import FilePlace
from mammoscope.server.mammogram_files import store_mammogram
from mammoscope.server.models import AnalysisStatus, File, View
from mammoscope.server.record import Record
from mammoscope.server.report_pdf import render_report
from mammoscope.server.reported_file import ReportedFile
from mammoscope.stages import step as steps
from mammoscope.stages.manifests import StepManifest
from mammoscope.stages.measure import measure
from mammoscope.writers.dicom.results import ResultKind, dicom_results, result_path, write_result
from mammoscope.writers.json import analysis_schema, read_analysis, write_analysis
from mammoscope.writers.overlay.ink import PLATE, SOFT_WHITE, draw_text, text_width
from mammoscope.writers.overlay.picture import render_overlay
from mammoscope.writers.table import findings_table

INVENTED = Kind(
    name="node",
    word="axillary node",
    plural="axillary nodes",
    code=Coded("129791004", "SCT", "Axillary lymph node"),
    content_label="NODES",
    measures=(AREA,),
    outlined=True,
)
EVERY = (*KINDS, INVENTED)
BOX = (500, 500, 640, 640)
PHANTOM_BOX = (100.25, 120.5, 180.75, 230.0)
ROOT = Path(__file__).parents[2]

every_kind = pytest.mark.parametrize("kind", EVERY, ids=[kind.name for kind in EVERY])


@pytest.fixture(autouse=True)
def one_row_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table as it is with a kind that somebody adds."""
    monkeypatch.setattr(kinds, "KINDS", EVERY)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kinds") / "view.dcm"
    write_view(path, 1, 0, ROWS, COLUMNS)
    return path


def of_kind(kind: Kind, box: tuple[float, float, float, float] = BOX, malignancy_score: float = 0.81) -> Finding:
    """A finding that was made up, with the sizes that its kind has."""
    size = measure(np.array(finding(box).outline), kind, PixelSpacing(0.1, 0.1, "ImagerPixelSpacing"))
    return finding(box, malignancy_score, kind=kind.name, size=size)


def others(kind: Kind) -> list[str]:
    return [other.word for other in EVERY if other is not kind]


def test_names_codes_and_labels_are_each_their_own() -> None:
    for field in ("name", "word", "plural", "code", "content_label"):
        assert len({getattr(kind, field) for kind in EVERY}) == len(EVERY), field
    assert [kind.name for kind in SOUGHT] == ["mass"]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_codes_are_those_of_the_standard_and_documented(kind: Kind) -> None:
    groups = (codes.cid6014, codes.cid6016, codes.cid6054, codes.cid7159)
    known = {getattr(group, name) for group in groups for name in group.dir()}
    assert kind.code.value in {code.value for code in known if code.meaning == kind.code.meaning}
    page = (ROOT / "docs" / "dicom-results.md").read_text(encoding="utf-8")
    assert f"| `{kind.name}` | {kind.code.meaning} ({kind.code.value}, {kind.code.scheme}) |" in page
    assert re.fullmatch(r"[A-Z0-9_ ]{1,16}", kind.content_label) and f"`{kind.content_label}`" in page


def test_what_is_said_of_a_mass_has_not_changed() -> None:
    mass = kind_named("mass")
    assert mass.code == Coded("4147007", "SCT", "Mass") and mass.content_label == "MASSES"
    assert [(each.code.value, each.unit) for each in mass.measures] == [("103339001", "mm"), ("42798000", "mm2")]


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        MammoscopeError, match=r"'cyst' is not a kind of finding, expected one of mass, calcification, asym"
    ):
        kind_named("cyst")
    with pytest.raises(ValueError, match="'cyst' is not a kind of finding"):
        finding(BOX, kind="cyst")


def test_without_a_finding_the_kinds_that_are_looked_for_are_named() -> None:
    assert kinds_shown([]) == SOUGHT
    assert kinds_shown(["distortion", "mass", "mass"]) == (KINDS[0], KINDS[3])


class Renaming:
    """A step that takes every candidate for another kind."""

    scope = "exam"
    row_by_row = True

    class Settings(steps.StepSettings):
        kind: str

    def __init__(self, kind: str) -> None:
        self._kind = kind

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: Settings) -> Renaming:
        return cls(settings.kind)

    def __call__(self, exam: steps.PreparedExam, found: Candidates) -> Candidates:
        return replace(found, kind=np.full(len(found), self._kind))


def test_a_step_says_what_kind_the_findings_are(bundle: Bundle, exam: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(steps.BUILT_IN, "renaming", f"{__name__}:Renaming")
    view = read_mammogram(exam / "phantom-L-CC.dcm")

    def analysed_as(kind: str) -> Analysis:
        step = StepManifest(name="rename", role="other", implementation="renaming", settings={"kind": kind})
        manifest = bundle.manifest.model_copy(update={"steps": (*bundle.manifest.steps, step)})
        return analyze(view, Bundle(bundle.folder, manifest, bundle.sha256), threshold=0.2)

    plain, renamed = analyze(view, bundle, threshold=0.2), analysed_as("calcification")
    assert {found.kind for found in plain.findings} == {"mass"} and all(found.size.area_mm2 for found in plain.findings)
    assert {found.kind for found in renamed.findings} == {"calcification"}
    for was, now in zip(plain.findings, renamed.findings, strict=True):
        assert (was.box, was.size.longest_diameter_mm) == (now.box, now.size.longest_diameter_mm)
        assert now.size.area_mm2 is None
    with pytest.raises(
        BundleError, match=r"step 'rename' \(renaming\) gave the kind 'cyst', which is not in the table"
    ):
        analysed_as("cyst")


@every_kind
def test_json_keeps_the_kind(kind: Kind, tmp_path: Path) -> None:
    made = analysis(mammogram(), of_kind(kind))
    write_analysis(made, tmp_path / "one.json")
    document = json.loads((tmp_path / "one.json").read_bytes())
    assert document["findings"][0]["kind"] == kind.name and document["schema_version"] == SCHEMA_VERSION
    assert read_analysis(tmp_path / "one.json") == made
    if kind in KINDS:  # the schema is made when the table is read
        jsonschema.validate(document, analysis_schema(), cls=jsonschema.Draft202012Validator)


def test_an_analysis_of_schema_1_0_opens_and_its_findings_are_masses(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    document = json.loads(analysis(mammogram(), finding(BOX)).model_dump_json())
    document["schema_version"] = "1.0"
    del document["findings"][0]["kind"]
    path.write_text(json.dumps(document))
    opened = read_analysis(path)
    assert (opened.schema_version, opened.findings[0].kind) == (SCHEMA_VERSION, "mass")
    document["findings"][0]["kind"] = "cyst"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"findings\.0\.kind: .*'cyst' is not a kind of finding"):
        read_analysis(path)


@every_kind
def test_sizes_are_those_that_the_kind_has(kind: Kind) -> None:
    square = np.array([[0, 0], [100, 0], [100, 100], [0, 100]], dtype=float)
    size = measure(square, kind, PixelSpacing(0.1, 0.1, "ImagerPixelSpacing"))
    measured = {"area_mm2": size.area_mm2, "longest_diameter_mm": size.longest_diameter_mm}
    expected = {"area_mm2": 100.0, "longest_diameter_mm": 14.14}
    assert {name: value for name, value in measured.items() if value is not None} == {
        name: value for name, value in expected.items() if kind.has(name)
    }
    assert size.unknown_because is None


@every_kind
@pytest.mark.parametrize("is_outlined", [True, False], ids=["outline", "box alone"])
def test_dicom_results_hold_its_code(kind: Kind, is_outlined: bool, image: Path, tmp_path: Path) -> None:
    found = of_kind(kind, PHANTOM_BOX)
    if not is_outlined:
        unknown = Size(area_mm2=None, longest_diameter_mm=None, unknown_because="no outline was found")
        found = found.model_copy(update={"outline": (), "size": unknown})
    made = dicom_results(analysed(image, found), image, [ResultKind.SR, ResultKind.SEG])
    for result_kind, result in made.items():
        write_result(result_path(tmp_path / "view", result_kind), result)
        validate(result_path(tmp_path / "view", result_kind))
    code = (kind.code.value, kind.code.scheme, kind.code.meaning)
    (group,) = hd.sr.srread(tmp_path / "view.sr.dcm").content.get_planar_roi_measurement_groups()
    assert (group.finding_type.value, group.finding_type.scheme_designator, group.finding_type.meaning) == code
    numbers = {item.name.value for item in group.get_measurements()}
    unknown_sizes = {item.name.value for item in group.get_qualitative_evaluations() if item.value.meaning == "Unknown"}
    sizes = {measure.code.value for measure in kind.measures}
    assert numbers - {"111012", "111047"} == (sizes if is_outlined else set())
    assert unknown_sizes == (set() if is_outlined else sizes)
    assert (ResultKind.SEG in made) == is_outlined
    if is_outlined:
        segmentation = pydicom.dcmread(tmp_path / "view.seg.dcm")
        (segment,) = segmentation.SegmentSequence
        (of_segment,) = segment.SegmentedPropertyTypeCodeSequence
        assert (of_segment.CodeValue, of_segment.CodingSchemeDesignator, of_segment.CodeMeaning) == code
        assert segmentation.ContentLabel == kind.content_label


def test_a_segmentation_of_several_kinds_says_so(image: Path, tmp_path: Path) -> None:
    boxes = [(20.0 + 50 * number, 100.0, 60.0 + 50 * number, 150.0) for number in range(len(EVERY))]
    made = analysed(image, *(of_kind(kind, box) for kind, box in zip(EVERY, boxes, strict=True)))
    for result_kind, result in dicom_results(made, image, [ResultKind.SR, ResultKind.SEG]).items():
        write_result(tmp_path / f"{result_kind}.dcm", result)
        validate(tmp_path / f"{result_kind}.dcm")
    segmentation = pydicom.dcmread(tmp_path / "seg.dcm")
    assert segmentation.ContentLabel == "FINDINGS"
    types = [segment.SegmentedPropertyTypeCodeSequence[0].CodeValue for segment in segmentation.SegmentSequence]
    assert types == [kind.code.value for kind in EVERY]


def _is_written(text: str, size: int, picture: NDArray[np.uint8]) -> bool:
    """Whether a text is somewhere in an image, in the font of labels and legends."""
    pattern = np.empty((2 * size, text_width(text, size) + 2, 3), dtype=np.uint8)
    pattern[:] = PLATE
    draw_text(pattern, (1, size), text, size, SOFT_WHITE)
    rows = np.flatnonzero((pattern != PLATE).any(axis=(1, 2)))
    pattern = np.ascontiguousarray(pattern[rows[0] : rows[-1] + 1])
    return float(cv2.matchTemplate(picture, pattern, cv2.TM_SQDIFF_NORMED).min()) < 0.01


@every_kind
def test_the_overlay_labels_it_with_its_word_and_draws_it_as_its_row_says(kind: Kind) -> None:
    view = mammogram()
    overlay = render_overlay(view, analysis(view, of_kind(kind)))
    assert _is_written(f"  |  {kind.word} 0.64", 16, overlay), "the label"
    assert _is_written(f"{kind.word}: detection score", 14, overlay), "the legend"
    assert _is_written(f"thresholds: {kind.word} 0.30, malignancy 50%", 14, overlay), "the operating point"
    assert not any(_is_written(f"  |  {word} 0.64", 16, overlay) for word in others(kind))
    top = int(np.argmin((overlay[:, 0] == PLATE).all(axis=1)))
    inside = overlay[top + BOX[1] + 8 : top + BOX[3] - 8, BOX[0] + 8 : BOX[2] - 8].astype(int)
    assert bool((inside.max(axis=2) - inside.min(axis=2) > 60).any()) == kind.outlined


def test_the_overlay_of_several_kinds_names_each() -> None:
    view = mammogram()
    found = [of_kind(kind, (380, 120 + 200 * place, 480, 220 + 200 * place)) for place, kind in enumerate(EVERY)]
    overlay = render_overlay(view, analysis(view, *found))
    for kind in EVERY:
        assert _is_written(f"  |  {kind.word} 0.64", 16, overlay) and _is_written(
            f"{kind.word}: detection", 14, overlay
        )
    assert _is_written("thresholds: detection 0.30, malignancy 50%", 14, overlay)


def _table(*rows: Analysis, width: int = 140) -> str:
    text = StringIO()
    Console(file=text, width=width).print(findings_table(rows))
    return text.getvalue()


@every_kind
def test_the_table_heads_its_score_with_the_word_of_the_only_kind(kind: Kind) -> None:
    text = _table(analysis(mammogram(), of_kind(kind)))
    first, second = (line.split("  ") for line in text.splitlines()[:2])
    assert kind.word in text.splitlines()[0] and not any(word in text for word in others(kind)), (first, second)
    assert ("extent" if EXTENT in kind.measures else "longest") in text.splitlines()[0]


def test_the_table_of_several_kinds_has_a_column_for_them() -> None:
    failed = analysis(mammogram(name="empty"))
    lines = _table(analysis(mammogram(), *(of_kind(kind) for kind in EVERY)), failed).splitlines()
    assert "kind" in lines[1] and "detection" in lines[0]
    for number, kind in enumerate(EVERY, 1):
        (row,) = [line for line in lines if f" {kind.word} " in line]
        assert re.search(rf" {number} +{kind.word} +0\.64 +81% +above 50%", row), row
    assert any(re.search(r"empty.* R CC +no finding", line) for line in lines)


def _report(folder: Path, *found: Finding) -> list[str]:
    """The lines of the PDF of one view, as they were drawn: the foot from the bottom up."""
    view = mammogram()
    place = FilePlace(folder)
    store_mammogram(view, place)
    file = File(number=0, name="x", state="done", progress=1, error=None, result=0, view=View.of(view))
    status = AnalysisStatus(
        id="0" * 32, created="2026-01-31T12:00:00Z", state="done", progress=1, warnings=(), files=(file,)
    )
    drawn = [{"file": 0, "outline": [[1, 1], [9, 1], [5, 9]]}]
    record = Record.model_validate({"threshold": 0.3, "drawn": drawn})
    content = render_report(status, [ReportedFile(file, place, analysis(view, *found))], record)
    (page,) = pypdf.PdfReader(BytesIO(content)).pages
    return [" ".join(line.split()) for line in page.extract_text().splitlines()]


@every_kind
def test_the_pdf_report_calls_it_by_its_word(kind: Kind, tmp_path: Path) -> None:
    lines = _report(tmp_path, of_kind(kind))
    text, foot = " ".join(lines), " ".join(reversed(lines))
    assert f"Findings with {kind.indefinite} score of 0.30 or more" in text
    assert f"# view {kind.word} score malignancy" in text
    assert f"that there is {kind.indefinite}; the malignancy is the calibrated probability, in percent, that" in foot
    assert f"in percent, that {kind.indefinite} is malignant." in foot
    assert not any(word in text for word in others(kind))
    assert "D1 1: R CC drawn by the reader" in text


def test_the_pdf_report_of_several_kinds_names_each(tmp_path: Path) -> None:
    text = " ".join(_report(tmp_path, *(of_kind(kind) for kind in EVERY)))
    assert "Findings with a detection score of 0.30 or more" in text
    assert "# view kind detection score malignancy longest mm reader" in text
    for number, kind in enumerate(EVERY, 1):
        assert f"{number} 1: R CC {kind.word} 0.64 81%, above 50%" in text
    assert "D1 1: R CC drawn by the reader" in text


@pytest.mark.parametrize(("word", "indefinite"), [("mass", "a mass"), ("asymmetry", "an asymmetry")])
def test_each_word_has_its_article(word: str, indefinite: str) -> None:
    assert kind_named(word).indefinite == indefinite


WORD = re.compile(r"\bmass(es)?\b", re.IGNORECASE)
ROOMS = ("findings.py", "writers", "server")
GENERATED = "api_types.ts"  # made of the table, by way of the API's description


def test_the_word_of_a_kind_is_written_in_the_table_alone() -> None:
    source = ROOT / "src" / "mammoscope"
    files = [path for room in ROOMS for path in [source / room, *(source / room).rglob("*")] if path.suffix == ".py"]
    page = [path for path in (ROOT / "web" / "src").rglob("*.*") if path.name != GENERATED]
    files += [*page, ROOT / "web" / "index.html"]
    assert len(files) > 60 and len(page) > 20
    written = {
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if WORD.search(line)
    }
    assert not written, "kinds.py says what a kind is called: " + "; ".join(sorted(written))
