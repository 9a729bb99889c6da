"""The one-page report."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from mammoscope.server.models import Record
from mammoscope.server.report_pdf import ReportedFile, render_report
from mammoscope.server.routes.found import FoundAnalysis, binary, done_analysis, problems, refuse_unfit
from mammoscope.server.state import StateOf

router = APIRouter(prefix="/analyses/{analysis}", tags=["report"])


@router.post(
    "/report",
    summary="A one-page PDF of an exam",
    response_class=Response,
    responses=binary("application/pdf")
    | problems(
        _404="There is none.",
        _409="It is not done yet, or may be of several women.",
        _413="Too large.",
        _422="The record does not fit.",
    ),
)
async def report(status: FoundAnalysis, record: Record, state: StateOf) -> Response:
    """Views with outlines, findings, the reader's verdicts and impression, models, warnings and the notice."""
    if status.state not in ("done", "failed"):
        raise HTTPException(409, "the analysis is not done yet")
    if status.is_vouched and not record.one_woman:
        raise HTTPException(409, "the images may be of several women: the reader must state that they are of one")
    done = [file for file in status.files if file.state == "done"]
    if not done:
        raise HTTPException(409, "every file of the analysis failed")

    def draw() -> bytes:
        stored = [(file, *done_analysis(state, status, file)) for file in done]
        found = {file.number: len(analysis.findings) for file, _, analysis in stored}
        refuse_unfit(record, found, shown=found)
        files = [ReportedFile(file, place, analysis.above(record.threshold)) for file, place, analysis in stored]
        try:
            return render_report(status, files, record)
        except OSError:
            raise HTTPException(404, "the analysis is gone") from None

    content = await to_thread.run_sync(draw, limiter=state.drawing)
    headers = {"Content-Disposition": 'attachment; filename="mammoscope-report.pdf"'}
    return Response(content, media_type="application/pdf", headers=headers)
