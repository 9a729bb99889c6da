"""Suppress pydicom's warnings while it handles values that may be a patient's."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_SILENCE = Lock()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence pydicom, whose warnings and log quote values, which may be those of a patient; one thread at a time."""
    log = logging.getLogger("pydicom")
    with _SILENCE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, log.disabled = log.disabled, True
        try:
            yield
        finally:
            log.disabled = before
