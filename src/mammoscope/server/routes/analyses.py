"""Analyses: take files on, say how far they are, give the results, forget them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from mammoscope.errors import InputError
from mammoscope.example import EXAM_FILES
from mammoscope.findings import Analysis
from mammoscope.server.analysis_store import NewAnalysis, NewFile, QueueFullError
from mammoscope.server.archives import Received
from mammoscope.server.models import AnalysisStatus, Created, CreatedExam
from mammoscope.server.routes.found import FoundAnalysis, FoundFile, problems, refuse_unless_done
from mammoscope.server.state import ServerState, StateOf
from mammoscope.server.upload_exams import exams_in, part, within
from mammoscope.server.uploads import FIELD, RefusedUploadError, drain
from mammoscope.writers.json import current_json

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/analyses", tags=["analyses"])

_RETRY_SECONDS = "10"
_GROUPING_SECONDS = 20.0  # of an upload; a header takes milliseconds
_FORM = {
    "type": "object",
    "required": [FIELD],
    "additionalProperties": False,
    "properties": {
        FIELD: {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "format": "binary"},
            "description": "DICOM, PNG, JPEG, TIFF or PGM files, or ZIP archives of them.",
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
    """Take one or many files on, each exam as an analysis of its own.

    DICOM files are one exam where they state one study of one patient; two women never share one. Other images are one
    exam only where no DICOM file is beside them. A file that cannot be read fails alone, and is named in an analysis.
    """
    ours: list[str] = []
    try:
        await run_in_threadpool(state.store.check_queue)
        upload, folder = await run_in_threadpool(state.store.new_folder)
        ours.append(upload)
        received = await state.uploads.receive(request, folder)
        exams = await to_thread.run_sync(_parted, state, upload, received, ours, limiter=state.grouping)
        await run_in_threadpool(state.store.add, *exams)
    except BaseException as error:
        for analysis in ours:
            await run_in_threadpool(state.store.remove_files, analysis)
        if isinstance(error, QueueFullError | RefusedUploadError):
            await drain(request)
            raise _refusal(error) from None
        raise
    return _taken_on(state, response, exams)


def _parted(state: ServerState, upload: str, received: Sequence[Received], ours: list[str]) -> list[NewAnalysis]:
    """Part an upload into exams, each in the folder of an id of its own; those that are made are put into ``ours``."""
    store = state.store
    key_of = within(_GROUPING_SECONDS, state.headers.exam_key)
    exams = exams_in(received, lambda number: store.place(upload, number).upload, key_of)
    for exam in exams[1:]:
        analysis, folder = store.new_folder()
        ours.append(analysis)
        part(store.analysis_folder(upload), exam, folder)
    part(store.analysis_folder(upload), exams[0], store.analysis_folder(upload))
    return [
        NewAnalysis(
            analysis,
            tuple(NewFile(received[one].name, received[one].problem, received[one].part) for one in exam.members),
            exam.is_vouched,
        )
        for analysis, exam in zip(ours, exams, strict=True)
    ]


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
        exam = NewAnalysis(analysis, tuple(NewFile(name, example=True) for name in EXAM_FILES))
        state.store.add(exam)
    except (QueueFullError, RefusedUploadError) as error:
        state.store.remove_files(analysis)
        raise _refusal(error) from None
    return _taken_on(state, response, [exam])


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
        parts = [current_json(path) for path in done]
    except InputError:
        raise HTTPException(404, "the analysis is gone") from None
    return Response(b"[" + b",".join(parts) + b"]", media_type="application/json")


@router.get(
    "/{analysis}/files/{number}/result",
    summary="The results of one file",
    response_model=Analysis,
    responses=problems(_404="There is no such analysis or file.", _409="It is not done yet, or failed."),
)
def file_result(status: FoundAnalysis, file: FoundFile, state: StateOf) -> Response:
    """As in /result, as soon as this file is done: others of its exam may be under way."""
    refuse_unless_done(file)
    try:
        content = current_json(state.store.place(status.id, file.number).analysis)
    except InputError:
        raise HTTPException(404, "the analysis is gone") from None
    return Response(content, media_type="application/json")


@router.delete("/{analysis}", status_code=204, summary="Forget an analysis", responses=problems(_404="There is none."))
def forget(status: FoundAnalysis, state: StateOf) -> None:
    """Stop it where it runs, and remove all its files."""
    if not state.store.forget(status.id):
        raise HTTPException(404, "there is no such analysis")
    state.analysis_thread.abandon(status.id)
    state.store.remove_files(status.id)
    logger.info("analysis %s: removed", status.id)


def _taken_on(state: ServerState, response: Response, exams: Sequence[NewAnalysis]) -> Created:
    state.analysis_thread.wake()
    for exam in exams:
        logger.info("analysis %s: %d files", exam.id, len(exam.files))
    response.headers["Location"] = f"/api/v1/analyses/{exams[0].id}"
    created = (CreatedExam(id=exam.id, parts=tuple(sorted({file.part for file in exam.files}))) for exam in exams)
    return Created(id=exams[0].id, exams=tuple(created))


def _refusal(error: QueueFullError | RefusedUploadError) -> HTTPException:
    if isinstance(error, RefusedUploadError):
        return HTTPException(error.status, str(error))
    return HTTPException(
        429, "too many files wait for their analysis, try again later", {"Retry-After": _RETRY_SECONDS}
    )
