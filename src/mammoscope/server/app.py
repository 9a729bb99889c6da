"""The application: routes, guard, and one form for every error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Lifespan

from mammoscope import NOTICE, __version__
from mammoscope.kinds import SOUGHT
from mammoscope.server.routes import analyses, dicom, health, images, monitor, page, readings, report
from mammoscope.server.security import Guard
from mammoscope.server.settings import ServerSettings
from mammoscope.server.state import ServerState
from mammoscope.text import printable

API = "/api/v1"


def create_app(settings: ServerSettings, state: ServerState | None = None) -> FastAPI:
    """The application of one server.

    Parameters
    ----------
    settings
        ``settings.port`` must be the real one: clients are checked for it.
    state
        What it serves; None opens one. Closed when the application ends.

    Raises
    ------
    MammoscopeError
        The bundle or the data folder cannot be used.
    """
    opened = state or ServerState(settings)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        opened.analysis_thread.start()
        try:
            yield
        finally:
            await run_in_threadpool(opened.close)

    app = routed_app(lifespan=life)
    app.state.mammoscope = opened
    app.include_router(page.router)
    app.include_router(monitor.router)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Guard, settings=settings, answered=opened.metrics.answered)
    return app


def routed_app(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The API's routes with nothing behind them: all that its description is made of."""
    app = FastAPI(
        title="mammoscope",
        version=__version__,
        description=f"Finds, outlines and grades {', '.join(kind.plural for kind in SOUGHT)} in mammograms. {NOTICE}",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    for routes in (health, analyses, images, readings, report, dicom):
        app.include_router(routes.router, prefix=API)
    return app


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """The first thing that is wrong with a request, without its value."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    detail = f"{place or 'the request'}: {first['msg']}"
    return JSONResponse({"detail": printable(detail)[:300]}, 422)
