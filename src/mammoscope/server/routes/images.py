"""The images of a file: as it came, as the models see it, and with the findings drawn over it."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse, Response

from mammoscope.findings import Analysis
from mammoscope.server.file_place import FilePlace
from mammoscope.server.mammogram_files import stored_mammogram
from mammoscope.server.models import AnalysisStatus, File
from mammoscope.server.routes.found import (
    FoundAnalysis,
    FoundFile,
    attachment,
    binary,
    done_analysis,
    problems,
    refuse_unless_done,
)
from mammoscope.server.state import StateOf
from mammoscope.server.view_names import download_name
from mammoscope.writers.overlay.picture import render_overlay
from mammoscope.writers.png import encode_png

router = APIRouter(prefix="/analyses/{analysis}/files/{number}", tags=["images"])


class _LargeFile(FileResponse):
    """A file sent in large blocks: an image has tens of megabytes."""

    chunk_size = 1 << 20


_NO_FILE = "There is no such analysis or file."


@router.get(
    "/original",
    summary="The pixels as the viewer needs them",
    response_class=Response,
    responses=binary("application/octet-stream") | problems(_404=_NO_FILE, _409="They cannot be shown yet."),
)
def original(status: FoundAnalysis, file: FoundFile, state: StateOf) -> Response:
    """``rows * columns`` little-endian uint16, row by row, 0 to 65535, brighter is denser."""
    if file.view is None:
        raise HTTPException(409, "the file cannot be shown" if file.state == "failed" else "the file is not read yet")
    path = state.store.place(status.id, file.number).original
    if not path.is_file():
        raise HTTPException(404, "the file's pixels are gone")
    return _LargeFile(path, media_type="application/octet-stream")


@router.get(
    "/preprocessed",
    summary="What the detector sees",
    response_class=Response,
    responses=binary("image/png") | problems(_404=f"{_NO_FILE} Or no breast was found.", _409="It is not done."),
)
def preprocessed(status: FoundAnalysis, file: FoundFile, state: StateOf) -> Response:
    """8-bit PNG of the flipped and cropped breast; where it lies in the original is in the file's view."""
    refuse_unless_done(file)
    path = state.store.place(status.id, file.number).preprocessed
    if not path.is_file():
        raise HTTPException(404, "no breast was found in the file")
    return _LargeFile(path, media_type="image/png")


@router.get(
    "/overlay",
    summary="The findings drawn over the original",
    response_class=Response,
    responses=binary("image/png") | problems(_404=_NO_FILE, _409="It is not done.", _422="No threshold."),
)
async def overlay(
    status: FoundAnalysis,
    file: FoundFile,
    state: StateOf,
    threshold: Annotated[
        float | None, Query(ge=0, le=1, description="Detection score from which findings are drawn.")
    ] = None,
) -> Response:
    """PNG with boxes, outlines, labels, models and the notice. No threshold: the bundle's."""
    wanted = state.bundle.manifest.thresholds.detection if threshold is None else threshold

    def draw() -> bytes:
        place, analysis = done_analysis(state, status, file)
        return _drawn(place, analysis.above(wanted), file, status)

    content = await to_thread.run_sync(draw, limiter=state.drawing)
    return attachment(content, "image/png", download_name(file, "overlay.png"))


def _drawn(place: FilePlace, analysis: Analysis, file: File, status: AnalysisStatus) -> bytes:
    try:
        mammogram = stored_mammogram(place)
    except OSError:
        raise HTTPException(404, "the file's pixels are gone") from None
    # An overlay may be passed on: it names the analysis, not the uploaded file.
    neutral = analysis.input.model_copy(update={"name": f"analysis {status.id[:8]}, file {file.number + 1}"})
    return encode_png(render_overlay(mammogram, analysis.model_copy(update={"input": neutral})))
