"""The page and its parts, as they were built."""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, Response

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
_COMPRESSED = {".css", ".js", ".mjs", ".json", ".svg", ".txt"}


@router.get("/")
def index(state: StateOf) -> FileResponse:
    """The page."""
    page = _PAGE / "index.html"
    if not page.is_file():
        raise HTTPException(404, "this installation has no page, only the API under /api/v1")
    state.analysis_thread.expect_example()  # one click away
    return FileResponse(page, media_type="text/html; charset=utf-8")


@router.get("/assets/{name:path}")
def asset(name: str, request: Request) -> Response:
    """A part of the page: a text compressed where the client takes that, as a browser does."""
    folder = _PAGE / "assets"
    # Looked up among what there is: a path of the client's is never opened.
    path = {str(path.relative_to(folder).as_posix()): path for path in folder.rglob("*") if path.is_file()}.get(name)
    if path is None or path.suffix not in _TYPES:
        raise HTTPException(404, "the page has no such part")
    media_type, vary = _TYPES[path.suffix], {"Vary": "Accept-Encoding"}
    if path.suffix in _COMPRESSED and _takes_gzip(request.headers.get("accept-encoding", "")):
        content = _gzipped(path, path.stat().st_mtime_ns)
        return Response(content, media_type=media_type, headers={**vary, "Content-Encoding": "gzip"})
    return FileResponse(path, media_type=media_type, headers=vary)


def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header (RFC 9110, 12.5.3) names gzip, and not to refuse it."""
    for each in accepted.lower().split(","):
        coding, _, weight = each.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return weight.strip("0.") != "" if weight else True
    return False


@lru_cache(maxsize=16)
def _gzipped(path: Path, changed: int) -> bytes:
    """A part of the page, compressed once in each state of the file."""
    return gzip.compress(path.read_bytes(), mtime=0)
