"""What is said of an analysis as a whole, made of the states of its files."""

from __future__ import annotations

from collections.abc import Sequence

from mammoscope.exam_report import warnings_on
from mammoscope.server.models import AnalysisState, AnalysisStatus, File, FileState, Patient, View

FileRow = tuple[int, str, FileState, float, str | None, str | None]  # number, name, state, progress, error, view
VOUCHED = (
    "These images are together because they were sent together, not because they state one study of one patient. "
    "Make sure that all are of one woman."
)


def status_of(
    analysis: str,
    created: str,
    rows: Sequence[FileRow],
    *,
    is_vouched: bool,
    patient: Patient | None,
) -> AnalysisStatus:
    """State, progress and warnings of an analysis.

    Parameters
    ----------
    analysis, created
        Its id, and when it was taken on.
    rows
        Its files in order.
    is_vouched
        Its images are together because they were sent together.
    patient
        Whose it is, as its images state it.
    """
    states = {row[2] for row in rows}
    state: AnalysisState = "running"
    if states <= {"done", "failed"}:
        state = "done" if "done" in states else "failed"
    elif states <= {"queued", "failed"} and not any(row[5] for row in rows):
        state = "queued"
    files, place = [], 0
    for number, name, file_state, progress, error, view in rows:
        files.append(
            File(
                number=number,
                name=name,
                state=file_state,
                progress=progress,
                error=error,
                result=place if state == "done" and file_state == "done" else None,
                view=None if view is None else View.model_validate_json(view),
            )
        )
        place += file_state == "done"
    return AnalysisStatus(
        id=analysis,
        created=created,
        state=state,
        progress=min(1.0, sum(row[3] for row in rows) / len(rows)),
        files=tuple(files),
        is_vouched=is_vouched and sum(file.state != "failed" for file in files) > 1,
        patient=patient,
        warnings=_warnings(files, is_vouched=is_vouched),
    )


def _warnings(files: Sequence[File], *, is_vouched: bool) -> tuple[str, ...]:
    """What is to be said of an exam as a whole; what its views lack, once all are known."""
    if len(files) < 2:
        return ()
    views = [file.view for file in files if file.view is not None]
    failed = sum(file.state == "failed" for file in files)
    is_known = views and all(file.view is not None or file.state == "failed" for file in files)
    return (*([VOUCHED] if is_vouched else []), *(warnings_on(views, failed, of="this upload") if is_known else []))
