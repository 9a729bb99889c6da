"""The page and its parts, as they were built."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from mammoscope.server.state import StateOf

router = APIRouter(include_in_schema=False)

_PAGE = Path(__file__).resolve().parent.parent / "page"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}


@router.get("/")
def index(state: StateOf) -> FileResponse:
    """The page."""
    page = _PAGE / "index.html"
    if not page.is_file():
        raise HTTPException(404, "this installation has no page, only the API under /api/v1")
    state.analysis_thread.expect_example()  # one click away
    return FileResponse(page, media_type="text/html; charset=utf-8")


@router.get("/assets/{name:path}")
def asset(name: str) -> FileResponse:
    """A part of the page."""
    folder = _PAGE / "assets"
    # Looked up among what there is: a path of the client's is never opened.
    path = {str(path.relative_to(folder).as_posix()): path for path in folder.rglob("*") if path.is_file()}.get(name)
    if path is None or path.suffix not in _TYPES:
        raise HTTPException(404, "the page has no such part")
    return FileResponse(path, media_type=_TYPES[path.suffix])
