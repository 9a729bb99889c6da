"""Find what a path names, or refuse with 404 or 409."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Path
from fastapi.responses import Response

from mammoscope.errors import InputError
from mammoscope.findings import Analysis
from mammoscope.server.file_place import FilePlace
from mammoscope.server.models import AnalysisStatus, File, Problem
from mammoscope.server.record import Record
from mammoscope.server.reported_file import ReportedFile
from mammoscope.server.state import ServerState, StateOf
from mammoscope.writers.json import read_analysis

Responses = dict[int | str, dict[str, Any]]

_EXAMPLE = "3f2b8c1d9e4a4f0b8a7c6d5e4f3a2b1c"
_LARGEST = 2**31 - 1


def problems(**described: str) -> Responses:
    """OpenAPI of error answers, ``problems(_404="there is none")``, beside those that every path can give.

    Where a path can name what is not there (404), it can also be malformed (422).
    """
    common = {"_403": "Another site asks.", "_421": "Another host name.", "_401": "The token is missing."}
    if "_404" in described:
        common["_422"] = "The path is malformed."
    return {
        int(status.lstrip("_")): {"model": Problem, "description": text}
        for status, text in sorted({**common, **described}.items())
    }


def binary(kind: str) -> Responses:
    """OpenAPI of an answer that is a file."""
    return {200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}}}}}


def taken_away(kind: str, *, refused: str) -> Responses:
    """OpenAPI of what a reader takes away of an exam, by a record; ``refused`` says when there is nothing to take."""
    described = problems(_404="There is none.", _409=refused, _413="Too large.", _422="The record does not fit.")
    return binary(kind) | described


def attachment(content: bytes, kind: str, name: str) -> Response:
    """A file that the browser saves under a name."""
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def found_analysis(
    state: StateOf, analysis: Annotated[str, Path(description="Its id.", examples=[_EXAMPLE])]
) -> AnalysisStatus:
    """The analysis of this id."""
    status = state.store.analysis(analysis)
    if status is None:
        raise HTTPException(404, "there is no such analysis")
    return status


FoundAnalysis = Annotated[AnalysisStatus, Depends(found_analysis)]


def found_file(
    status: FoundAnalysis, number: Annotated[int, Path(ge=0, le=_LARGEST, description="The file's number.")]
) -> File:
    """The file of this number."""
    if number >= len(status.files):
        raise HTTPException(404, "the analysis has no such file")
    return status.files[number]


FoundFile = Annotated[File, Depends(found_file)]


def refuse_unless_done(file: File) -> None:
    """Raise HTTPException 409 where the file is not done, or failed."""
    if file.state != "done":
        raise HTTPException(409, "the file failed" if file.state == "failed" else "the file is not done yet")


def refuse_unfit(record: Record, found: Mapping[int, int], shown: Collection[int]) -> None:
    """Raise HTTPException 422 where a record is about what the exam does not have.

    Parameters
    ----------
    record
        What the reader made of the exam.
    found
        How many findings each file has, by its number.
    shown
        Numbers of the files that can be drawn on.
    """
    for verdict in record.verdicts:
        if verdict.finding >= found.get(verdict.file, 0):
            raise HTTPException(422, f"verdicts: file {verdict.file} has no finding {verdict.finding}")
    for name, marks in (("drawn", record.drawn), ("lengths", record.lengths)):
        for mark in marks:
            if mark.file not in shown:
                raise HTTPException(422, f"{name}: file {mark.file} is not there, or failed")


def done_analysis(state: ServerState, status: AnalysisStatus, file: File) -> tuple[FilePlace, Analysis]:
    """Place and analysis of a file that is done.

    Raises
    ------
    HTTPException
        409: it is not done, or failed.
    """
    refuse_unless_done(file)
    place = state.store.place(status.id, file.number)
    try:
        return place, read_analysis(place.analysis)
    except InputError:
        raise HTTPException(404, "the file's analysis is gone") from None


def reported_files(state: ServerState, status: AnalysisStatus, record: Record) -> list[ReportedFile]:
    """The files of an exam that are done, with the findings that a record reports.

    Raises
    ------
    HTTPException
        404: the results are gone. 409: the exam is not done, every file of it failed, or it may be of several women and
        the reader does not state that it is of one. 422: the record does not fit it.
    """
    if status.state not in ("done", "failed"):
        raise HTTPException(409, "the analysis is not done yet")
    if status.is_vouched and not record.one_woman:
        raise HTTPException(409, "the images may be of several women: the reader must state that they are of one")
    stored = [(file, *done_analysis(state, status, file)) for file in status.files if file.state == "done"]
    if not stored:
        raise HTTPException(409, "every file of the analysis failed")
    found = {file.number: len(analysis.findings) for file, _, analysis in stored}
    refuse_unfit(record, found, shown=found)
    return [ReportedFile(file, place, analysis.above(record.threshold)) for file, place, analysis in stored]
