"""Paths and URLs: which is which, and what fsspec reaches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mammoscope.errors import MammoscopeError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_SECRET = re.compile(r"//[^/@]*@")


def is_url(place: str) -> bool:
    """Whether a place is a URL, such as ``s3://bucket/folder``, and no path."""
    return _SCHEME.match(place) is not None


def shown(place: str) -> str:
    """A place without user name and password."""
    return _SECRET.sub("//", place) if is_url(place) else place


def filesystem_of(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it.

    Raises
    ------
    MammoscopeError
        No installed package reaches it; names the scheme.
    """
    from fsspec.core import url_to_fs  # noqa: PLC0415 (an extra)

    try:
        files, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise MammoscopeError(f"{shown(url)}: cannot be reached ({' '.join(str(error).split())})") from None
    return files, str(path).rstrip("/")


@contextmanager
def remote_errors(place: str) -> Iterator[None]:
    """Turn what a file system's library raises into one line that names the place."""
    try:
        yield
    except MammoscopeError:
        raise
    except Exception as error:  # each library has errors of its own
        reason = " ".join(str(error).split())[:200]
        raise MammoscopeError(f"{shown(place)}: {type(error).__name__} ({reason})") from None
