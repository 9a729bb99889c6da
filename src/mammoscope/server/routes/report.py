"""The one-page report."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from mammoscope.server.record import Record
from mammoscope.server.report_pdf import render_report
from mammoscope.server.routes.found import FoundAnalysis, attachment, reported_files, taken_away
from mammoscope.server.state import StateOf

router = APIRouter(prefix="/analyses/{analysis}", tags=["report"])


@router.post(
    "/report",
    summary="A one-page PDF of an exam",
    response_class=Response,
    responses=taken_away("application/pdf", refused="It is not done yet, or may be of several women."),
)
async def report(status: FoundAnalysis, record: Record, state: StateOf) -> Response:
    """Views with outlines, findings, the reader's verdicts and impression, models, warnings and the notice."""

    def draw() -> bytes:
        files = reported_files(state, status, record)
        try:
            return render_report(status, files, record)
        except OSError:
            raise HTTPException(404, "the analysis is gone") from None

    content = await to_thread.run_sync(draw, limiter=state.drawing)
    return attachment(content, "application/pdf", "mammoscope-report.pdf")
