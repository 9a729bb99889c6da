"""What was found in an exam, as DICOM objects for an archive."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from mammoscope.server.dicom_archive import NothingMadeError, archive_of
from mammoscope.server.record import Record
from mammoscope.server.routes.found import FoundAnalysis, attachment, reported_files, taken_away
from mammoscope.server.state import StateOf

WITHOUT_RESULTS = "Mammoscope-Without-Results"

router = APIRouter(prefix="/analyses/{analysis}", tags=["report"])


@router.post(
    "/dicom",
    summary="DICOM results of an exam",
    response_class=Response,
    responses=taken_away(
        "application/zip",
        refused="It is not done yet, may be of several women, or has no image to which results can be filed.",
    ),
)
async def dicom(status: FoundAnalysis, record: Record, state: StateOf) -> Response:
    """A ZIP archive: a structured report, a segmentation and a presentation state of each image that came as DICOM.

    Where there are several, also one structured report on all of them.

    They hold what the models found at or above the record's threshold, and nothing of the reader's. A header names the
    numbers of images without results, a text in the archive says why.
    """

    def make() -> tuple[bytes, list[int]]:
        try:
            return archive_of(reported_files(state, status, record))
        except NothingMadeError as error:
            raise HTTPException(409, str(error)) from None

    content, without = await to_thread.run_sync(make, limiter=state.drawing)
    answer = attachment(content, "application/zip", "mammoscope-dicom.zip")
    if without:
        answer.headers[WITHOUT_RESULTS] = ", ".join(map(str, without))
    return answer
