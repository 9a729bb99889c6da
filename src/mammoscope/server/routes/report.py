"""The one-page report."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from mammoscope.server.record import Record
from mammoscope.server.report_pdf import render_report
from mammoscope.server.routes.found import FoundAnalysis, binary, problems, reported_files
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

    def draw() -> bytes:
        files = reported_files(state, status, record)
        try:
            return render_report(status, files, record)
        except OSError:
            raise HTTPException(404, "the analysis is gone") from None

    content = await to_thread.run_sync(draw, limiter=state.drawing)
    headers = {"Content-Disposition": 'attachment; filename="mammoscope-report.pdf"'}
    return Response(content, media_type="application/pdf", headers=headers)
