"""For those who run the server: what it measures, and whether it works."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from mammoscope.queue.metrics import CONTENT_TYPE, exposition
from mammoscope.server.state import StateOf

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(state: StateOf) -> Response:
    """The text format of Prometheus."""
    return Response(exposition(state.registry), media_type=CONTENT_TYPE)


@router.get("/ready")
async def ready(state: StateOf) -> JSONResponse:
    """200 if all that an analysis needs has just been seen to work, else 503 and what does not."""
    seen = await to_thread.run_sync(state.metrics.readiness, limiter=state.checking)
    return JSONResponse(seen.to_json(), 200 if seen.is_ready else 503)
