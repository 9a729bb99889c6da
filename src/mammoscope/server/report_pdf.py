"""The one-page report of an exam: what the models found, and what the reader made of it."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from mammoscope import NOTICE
from mammoscope.findings import Finding
from mammoscope.kinds import Kind, grade_named, kind_named, kinds_shown, longest_word, score_word
from mammoscope.server.mammogram_files import stored_mammogram
from mammoscope.server.models import AnalysisStatus
from mammoscope.server.patients import identity_lines
from mammoscope.server.record import Assessment, Record, Verdict
from mammoscope.server.reported_file import ReportedFile
from mammoscope.server.view_names import shown_view
from mammoscope.text import printable
from mammoscope.writers.malignancy import malignancy_percent, operating_point_percent, operating_point_words
from mammoscope.writers.overlay.fonts import font
from mammoscope.writers.overlay.ink import PALETTE, YELLOW, Colour

_PLAIN, _BOLD = "mammoscope", "mammoscope-bold"
_WIDTH, _HEIGHT = A4
_MARGIN, _GAP = 36.0, 6.0
_TEXT_WIDTH = _WIDTH - 2 * _MARGIN
_TABLE_COLUMNS = (0.0, 30.0, 95.0, 175.0, 300.0, 400.0)
_TABLE_COLUMNS_WITH_KIND = (0.0, 30.0, 95.0, 200.0, 270.0, 350.0, 405.0)
_ROW = 11.0
_PICTURE_SIDE = 800  # pixels of a view's longer side
_MOST_VIEWS, _VIEWS_A_ROW, _VIEWS_HEIGHT = 8, 4, 250.0
_TITLE_HEIGHT = 18.0
_IMPRESSION_HEIGHT, _IMPRESSION_SIZES = 210.0, (9.0, 8.0, 7.0, 6.0)
_MOST_WARNINGS = 4
_HANGING = ("R CC", "L CC", "R MLO", "L MLO")
_GREY: Colour = (150, 150, 150)


def render_report(status: AnalysisStatus, files: Sequence[ReportedFile], record: Record) -> bytes:
    """Draw the report: one A4 page, whatever there is to say; what has no room is counted on it.

    It names the analysis, not what the uploads were called.

    Parameters
    ----------
    status
        The analysis.
    files
        Those that are done, at least one.
    record
        The reader's threshold, verdicts, drawings and impression.

    Returns
    -------
    bytes
        Of a PDF.

    Raises
    ------
    OSError
        The pixels of a view are gone.
    """
    for name, bold in ((_PLAIN, False), (_BOLD, True)):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(font(10, bold=bold).path)))
    hung = sorted(files, key=_hanging_place)
    content = BytesIO()
    page = _Page(Canvas(content, pagesize=A4, pageCompression=1))
    page.head(status, hung, record)
    page.views(hung, record)
    page.foot(hung, status.warnings)
    page.impression(record.impression)
    page.assessment(record)
    page.findings(hung, record)
    page.canvas.save()
    return content.getvalue()


def _hanging_place(reported: ReportedFile) -> tuple[int, int]:
    view = shown_view(reported.file)
    return _HANGING.index(view) if view in _HANGING else len(_HANGING), reported.file.number


class _Page:
    """A page that fills from both ends: ``top`` and ``bottom`` bound the room that is left, in points."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.top, self.bottom = _HEIGHT - _MARGIN, _MARGIN
        canvas.setTitle("mammoscope report")
        canvas.setSubject(NOTICE)

    def head(self, status: AnalysisStatus, files: Sequence[ReportedFile], record: Record) -> None:
        """Title, notice, which analysis, and the operating point."""
        self._line("mammoscope report", 15, bold=True, pitch=20)
        self._line(NOTICE, 10, bold=True, pitch=14)
        for line in identity_lines(status.patient):
            self._line(_fitting(line, 9), 9, bold=True, pitch=12)
        if reader := printable(record.reader).strip():
            self._line(_fitting(f"Read by {reader}", 9), 9, pitch=12)
        thresholds = files[0].analysis.thresholds
        scores = [finding.malignancy_score for reported in files for finding in reported.analysis.findings]
        point = operating_point_percent(thresholds.malignancy, scores)
        self._line(f"Analysis {status.id}, {status.created}; files analysed: {len(files)} of {len(status.files)}", 8)
        self._line(
            f"Findings with {_one_of(_kinds(files)) or 'a detection'} score of {thresholds.detection:.2f} or more, "
            f"drawn as malignant from a malignancy of {point}. Numbers are those of the overlay.",
            8,
            pitch=14,
        )

    def views(self, files: Sequence[ReportedFile], record: Record) -> None:
        """The views as they hang, with outlines."""
        shown = files[:_MOST_VIEWS]
        rows = -(-len(shown) // _VIEWS_A_ROW)
        across = min(len(shown), _VIEWS_A_ROW)
        width = (_TEXT_WIDTH - _GAP * (across - 1)) / across
        facts = [reported.analysis.input for reported in shown]
        needed = max(one.rows * one.pixel_aspect / one.columns for one in facts)
        height = min(_VIEWS_HEIGHT / rows, needed * width + _TITLE_HEIGHT)
        for index, reported in enumerate(shown):
            left = _MARGIN + index % across * (width + _GAP)
            top = self.top - index // across * height
            self._view(reported, record, left, top, width, height)
        self.top -= rows * height
        if len(files) > len(shown):
            self._line(f"{len(files) - len(shown)} more views are not shown.", 8)

    def foot(self, files: Sequence[ReportedFile], of_exam: Sequence[str]) -> None:
        """Models, warnings and notice, from the bottom up."""
        analysis = files[0].analysis
        models = analysis.bundle
        lines = [f"{analysis.software}; bundle {models.name} {models.version}", f"bundle SHA-256 {models.sha256}"]
        warnings: dict[str, list[str]] = {}
        for reported in files:
            for text in reported.analysis.warnings:
                warnings.setdefault(text, []).append(str(reported.file.number + 1))
        lines += [f"Warning on the exam: {text}" for text in of_exam]
        lines += [f"Warning on {', '.join(where)}: {text}" for text, where in warnings.items()][:_MOST_WARNINGS]
        if len(warnings) > _MOST_WARNINGS:
            lines.append(f"{len(warnings) - _MOST_WARNINGS} more warnings: see the JSON.")
        kinds = _kinds(files)
        meaning = (
            f"{NOTICE} The {score_word(kinds)} score says how sure the detector is that there is "
            f"{_one_of(kinds) or 'a finding of its kind'}; the malignancy is the calibrated probability, in percent, "
            f"that {_one_of(kinds) or 'it'} is malignant."
        )
        lines += simpleSplit(meaning, _PLAIN, 7, _TEXT_WIDTH)
        for line in reversed(lines):
            self._text(_MARGIN, self.bottom, _fitting(line, 7), 7)
            self.bottom += 9
        self.canvas.line(_MARGIN, self.bottom + 1, _WIDTH - _MARGIN, self.bottom + 1)
        self.bottom += 8

    def assessment(self, record: Record) -> None:
        """The reader's categories, above the foot, in one line."""
        said = [words for one in record.assessments if (words := _assessed(one))]
        if said:
            self._text(_MARGIN, self.bottom, f"Assessment by the reader: {'; '.join(said)}", 9, bold=True)
            self.bottom += 14

    def impression(self, text: str) -> None:
        """The reader's text, above the foot; smaller where it is long."""
        paragraphs = "\n".join(printable(line) for line in text.strip().splitlines())
        if not paragraphs:
            return
        for size in _IMPRESSION_SIZES:
            lines, pitch = simpleSplit(paragraphs, _PLAIN, size, _TEXT_WIDTH), 1.25 * size
            room = int(_IMPRESSION_HEIGHT / pitch)
            if len(lines) <= room:
                break
        if len(lines) > room:
            lines = [*lines[: room - 1], f"... {len(lines) - room + 1} more lines have no room here."]
        for line in reversed(lines):
            self._text(_MARGIN, self.bottom, line, size)
            self.bottom += pitch
        self._text(_MARGIN, self.bottom + 2, "Impression", 9, bold=True)
        self.bottom += 18

    def findings(self, files: Sequence[ReportedFile], record: Record) -> None:
        """The table of findings, in the room that is left."""
        kinds, heads = _kinds(files), _heads(_kinds(files))
        verdicts = {(one.file, one.finding): _judged(one) for one in record.verdicts}
        rows = [
            _row(reported, number, finding, kinds, verdicts.get((reported.file.number, number - 1), "no verdict"))
            for reported in files
            for number, finding in enumerate(reported.analysis.findings, 1)
        ]
        titles = {reported.file.number: reported.title for reported in files}
        rows += [
            (f"D{number}", titles.get(one.file, ""), *[""] * (len(heads) - 3), "drawn by the reader")
            for number, one in enumerate(record.drawn, 1)
        ]
        self.top -= 4
        self._row(heads, bold=True)
        empty = [reported for reported in files if not reported.analysis.findings]
        room = int((self.top - self.bottom) / _ROW) - 1
        notes = [f"{reported.title}: {reported.analysis.statement}" for reported in empty]
        notes = notes[: max(0, min(len(notes), room // 2))]
        fits = max(0, room - len(notes))
        for row in rows[:fits]:
            self._row(row)
        if len(rows) > fits:
            self._line(f"{len(rows) - fits} more findings have no room here: see the JSON.", 8)
        for note in notes:
            self._line(_fitting(note, 8), 8)

    def _view(
        self, reported: ReportedFile, record: Record, left: float, top: float, width: float, height: float
    ) -> None:
        """One view, with what was found, rejected and drawn."""
        facts, canvas = reported.analysis.input, self.canvas
        self._text(left, top - 8, reported.title, 8, bold=True)
        room = height - _TITLE_HEIGHT
        true_rows = facts.rows * facts.pixel_aspect
        scale = min(width / facts.columns, room / true_rows)
        across, down = facts.columns * scale, true_rows * scale
        bottom = top - 12 - down
        canvas.drawImage(_picture(reported), left, bottom, across, down)
        steps = np.array([across / facts.columns, -down / facts.rows])
        corner = np.array([left, bottom + down])
        canvas.saveState()
        clip = canvas.beginPath()
        clip.rect(left, bottom, across, down)
        canvas.clipPath(clip, stroke=0)
        own = reported.file.number
        rejected = {one.finding for one in record.verdicts if one.file == own and one.verdict == "rejected"}
        for index, finding in enumerate(reported.analysis.findings):
            box = finding.box
            own_outline = finding.outline if kind_named(finding.kind).outlined else ()
            outline = own_outline or ((box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1))
            grade = grade_named(finding.malignancy)
            colour, label = PALETTE[grade.colour], str(index + 1)
            if index in rejected:
                colour, label = _GREY, f"{label} rejected"
            points = np.array(outline) * steps + corner
            self._outline(points, colour, label, left + across, dashed=grade.line == "dashed")
        for number, one in enumerate(record.drawn, 1):
            if one.file == own:
                self._outline(np.array(one.outline) * steps + corner, YELLOW, f"D{number}", left + across, dashed=False)
        canvas.restoreState()

    def _outline(self, points: NDArray[np.float64], colour: Colour, label: str, right: float, *, dashed: bool) -> None:
        """A closed outline ``(N, 2)`` of points of the page, and its label, which stays left of ``right``."""
        canvas = self.canvas
        canvas.setStrokeColorRGB(*(value / 255 for value in colour))
        canvas.setFillColorRGB(*(value / 255 for value in colour))
        canvas.setLineWidth(0.8)
        canvas.setDash([2, 1.5] if dashed else [])
        path = canvas.beginPath()
        path.moveTo(*points[0])
        for point in points[1:]:
            path.lineTo(*point)
        path.close()
        canvas.drawPath(path, stroke=1, fill=0)
        canvas.setFont(_BOLD, 6)
        end = right - pdfmetrics.stringWidth(label, _BOLD, 6) - 1
        canvas.drawString(min(float(points[:, 0].max()) + 1, end), float(points[:, 1].max()) - 3, label)

    def _row(self, cells: Sequence[str], *, bold: bool = False) -> None:
        columns = _TABLE_COLUMNS if len(cells) == len(_TABLE_COLUMNS) else _TABLE_COLUMNS_WITH_KIND
        for left, cell in zip(columns, cells, strict=True):
            self._text(_MARGIN + left, self.top - 8, cell, 8, bold=bold)
        self.top -= _ROW

    def _line(self, text: str, size: float, *, bold: bool = False, pitch: float = _ROW) -> None:
        self._text(_MARGIN, self.top - size, text, size, bold=bold)
        self.top -= pitch

    def _text(self, left: float, baseline: float, text: str, size: float, *, bold: bool = False) -> None:
        self.canvas.setFillColorRGB(0, 0, 0)
        self.canvas.setFont(_BOLD if bold else _PLAIN, size)
        self.canvas.drawString(left, baseline, text)


def _kinds(files: Sequence[ReportedFile]) -> tuple[Kind, ...]:
    analysed = [reported.analysis for reported in files]
    found = (finding.kind for analysis in analysed for finding in analysis.findings)
    return kinds_shown(found, (name for analysis in analysed for name in analysis.bundle.kinds))


def _one_of(kinds: tuple[Kind, ...]) -> str:
    """The only kind's word with its article; empty where there are several."""
    return kinds[0].indefinite if len(kinds) == 1 else ""


def _heads(kinds: tuple[Kind, ...]) -> tuple[str, ...]:
    named = ("kind",) if len(kinds) > 1 else ()
    return "#", "view", *named, f"{score_word(kinds)} score", "malignancy", f"{longest_word(kinds)} mm", "reader"


def _row(
    reported: ReportedFile, number: int, finding: Finding, kinds: tuple[Kind, ...], verdict: str
) -> tuple[str, ...]:
    longest = finding.size.longest_diameter_mm
    scores = finding.malignancy_score, reported.analysis.thresholds.malignancy
    return (
        str(number),
        reported.title,
        *((kind_named(finding.kind).word,) if len(kinds) > 1 else ()),
        f"{finding.detection_score:.2f}",
        ", ".join(filter(None, (malignancy_percent(*scores), operating_point_words(*scores, naming="")))),
        "not known" if longest is None else f"{longest:.1f}",
        verdict,
    )


def _assessed(one: Assessment) -> str:
    """``"left BI-RADS 4A density C"``; empty where nothing is said."""
    said = [f"BI-RADS {one.birads}"] * bool(one.birads) + [f"density {one.density}"] * bool(one.density)
    return " ".join([one.of, *said]) if said else ""


def _judged(one: Verdict) -> str:
    """A verdict and its reason, as far as they have room."""
    return _fitting(f"{one.verdict}: {one.reason}" if one.reason else one.verdict, 8, _WIDTH - 2 * _MARGIN - 400)


def _picture(reported: ReportedFile) -> ImageReader:
    """The view in its true proportions, small enough for a page."""
    mammogram = stored_mammogram(reported.place)
    height, width = mammogram.height * mammogram.pixel_aspect, mammogram.width
    scale = min(1.0, _PICTURE_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.convertScaleAbs(cv2.resize(mammogram.pixels, size, interpolation=cv2.INTER_AREA), alpha=255 / 65535)
    content = BytesIO()
    Image.fromarray(grey).save(content, "JPEG", quality=88)
    content.seek(0)
    return ImageReader(content)


def _fitting(text: str, size: float, width: float = _TEXT_WIDTH) -> str:
    """The text, or as much of it as fits into a line."""
    text = printable(text)
    if pdfmetrics.stringWidth(text, _PLAIN, size) <= width:
        return text
    while text and pdfmetrics.stringWidth(f"{text}...", _PLAIN, size) > width:
        text = text[:-1]
    return f"{text}..."
