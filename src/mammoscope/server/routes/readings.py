"""The reading of an exam: what the reader made of it, kept with the exam."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException

from mammoscope.server.models import AnalysisStatus
from mammoscope.server.readings import StaleReadingError
from mammoscope.server.record import ReadingDraft, Record, StoredReading
from mammoscope.server.routes.found import FoundAnalysis, done_analysis, problems, refuse_unfit
from mammoscope.server.state import ServerState, StateOf

router = APIRouter(prefix="/analyses/{analysis}/reading", tags=["reading"])

_STALE = "another reading of this exam was saved meanwhile"


@router.get("", summary="The reading of an exam", responses=problems(_404="There is no such analysis."))
def reading(status: FoundAnalysis, state: StateOf) -> StoredReading:
    """What was saved last; revision 0 and no record where nothing was."""
    return state.readings.reading(state.store.analysis_folder(status.id))


@router.put(
    "",
    summary="Save the reading of an exam",
    responses=problems(
        _404="There is no such analysis.", _409="Another was saved since.", _422="The record does not fit the exam."
    ),
)
def save(status: FoundAnalysis, draft: ReadingDraft, state: StateOf) -> StoredReading:
    """Keep it until the exam is deleted, in the place of the reading that it was made from."""
    refuse_unfit(draft.record, _found(state, status, draft.record), shown={file.number for file in status.files})
    try:
        return state.readings.save(state.store.analysis_folder(status.id), draft)
    except StaleReadingError:
        raise HTTPException(409, _STALE) from None


def _found(state: ServerState, status: AnalysisStatus, record: Record) -> dict[int, int]:
    """How many findings each file has that the reader judged."""
    judged = {verdict.file for verdict in record.verdicts}
    done = [file for file in status.files if file.number in judged and file.state == "done"]
    return {file.number: len(done_analysis(state, status, file)[1].findings) for file in done}
