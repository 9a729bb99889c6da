"""Analyses: take files on, say how far they are, give the results, forget them."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from mammoscope.example import EXAM_FILES
from mammoscope.findings import Analysis
from mammoscope.server.analysis_store import NewFile, QueueFullError
from mammoscope.server.models import AnalysisStatus, Created
from mammoscope.server.routes.found import FoundAnalysis, problems
from mammoscope.server.state import ServerState, StateOf
from mammoscope.server.uploads import FIELD, RefusedUploadError, drain

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/analyses", tags=["analyses"])

_RETRY_SECONDS = "10"
_FORM = {
    "type": "object",
    "required": [FIELD],
    "additionalProperties": False,
    "properties": {
        FIELD: {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "format": "binary"},
            "description": "DICOM, PNG, JPEG or TIFF files, or ZIP archives of them.",
        }
    },
}
_UPLOAD: dict[str, Any] = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}
_FULL = "Too many files wait; see Retry-After."
_NO_ROOM = "The server's disk is full."


@router.post(
    "",
    status_code=202,
    summary="Analyse files",
    openapi_extra=_UPLOAD,
    responses=problems(
        _400="Nothing to analyse, or a broken form.",
        _408="The upload stalled.",
        _413="Too large.",
        _429=_FULL,
        _507=_NO_ROOM,
    ),
)
async def create(request: Request, response: Response, state: StateOf) -> Created:
    """Take one or many files on. A file that cannot be read fails alone, and is named in the analysis."""
    analysis = None
    try:
        await run_in_threadpool(state.store.check_queue)
        analysis, folder = await run_in_threadpool(state.store.new_folder)
        received = await state.uploads.receive(request, folder)
        files = [NewFile(file.name, file.problem) for file in received]
        await run_in_threadpool(state.store.add, analysis, files)
    except BaseException as error:
        if analysis is not None:
            await run_in_threadpool(state.store.remove_files, analysis)
        if isinstance(error, QueueFullError | RefusedUploadError):
            await drain(request)
            raise _refusal(error) from None
        raise
    return _taken_on(state, response, analysis, len(files))


@router.post(
    "/example",
    status_code=202,
    summary="Analyse the synthetic exam",
    responses=problems(_429=_FULL, _507=_NO_ROOM),
)
def create_example(response: Response, state: StateOf) -> Created:
    """Make a synthetic four-view exam and analyse it."""
    analysis, folder = state.store.new_folder()
    try:
        state.uploads.check_room(folder, 0)
        state.store.add(analysis, [NewFile(name, example=True) for name in EXAM_FILES])
    except (QueueFullError, RefusedUploadError) as error:
        state.store.remove_files(analysis)
        raise _refusal(error) from None
    return _taken_on(state, response, analysis, len(EXAM_FILES))


@router.get("", summary="All analyses, newest first", responses=problems())
def list_all(state: StateOf) -> list[AnalysisStatus]:
    """Every analysis that the server holds."""
    return state.store.analyses()


@router.get("/{analysis}", summary="How far an analysis is", responses=problems(_404="There is none."))
def status(status: FoundAnalysis) -> AnalysisStatus:
    """State and progress, of the whole and of each file."""
    return status


@router.get(
    "/{analysis}/result",
    summary="The results",
    response_model=list[Analysis],
    responses=problems(_404="There is none.", _409="It is not done yet."),
)
def result(status: FoundAnalysis, state: StateOf) -> Response:
    """An analysis for each file that is done, with all candidates down to the floor that /health states."""
    if status.state not in ("done", "failed"):
        raise HTTPException(409, "the analysis is not done yet")
    done = [state.store.place(status.id, file.number).analysis for file in status.files if file.state == "done"]
    try:
        parts = [path.read_bytes() for path in done]
    except OSError:
        raise HTTPException(404, "the analysis is gone") from None
    return Response(b"[" + b",".join(parts) + b"]", media_type="application/json")


@router.delete("/{analysis}", status_code=204, summary="Forget an analysis", responses=problems(_404="There is none."))
def forget(status: FoundAnalysis, state: StateOf) -> None:
    """Stop it where it runs, and remove all its files."""
    if not state.store.forget(status.id):
        raise HTTPException(404, "there is no such analysis")
    state.analysis_thread.abandon(status.id)
    state.store.remove_files(status.id)
    logger.info("analysis %s: removed", status.id)


def _taken_on(state: ServerState, response: Response, analysis: str, files: int) -> Created:
    state.analysis_thread.wake()
    logger.info("analysis %s: %d files", analysis, files)
    response.headers["Location"] = f"/api/v1/analyses/{analysis}"
    return Created(id=analysis)


def _refusal(error: QueueFullError | RefusedUploadError) -> HTTPException:
    if isinstance(error, RefusedUploadError):
        return HTTPException(error.status, str(error))
    return HTTPException(
        429, "too many files wait for their analysis, try again later", {"Retry-After": _RETRY_SECONDS}
    )
