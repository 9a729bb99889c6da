"""A mammogram on disk, once it was read: for its analysis, the page, and drawings."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from mammoscope.files import replacing, write_json
from mammoscope.mammogram import Mammogram
from mammoscope.readers.identity import Identity
from mammoscope.readers.wire import from_facts, to_facts
from mammoscope.server.file_place import FilePlace


def store_mammogram(mammogram: Mammogram, place: FilePlace) -> None:
    """Write facts and pixels; raises MammoscopeError where they cannot be written."""
    write_json(place.facts, to_facts(dataclasses.replace(mammogram, exam_key=None)))  # which is kept in memory only
    with replacing(place.original) as temporary:
        mammogram.pixels.astype("<u2", copy=False).tofile(temporary)


def store_identity(identity: Identity | None, place: FilePlace) -> None:
    """Write whose image it is, where its file states that; raises MammoscopeError where it cannot be written."""
    if identity is not None:
        write_json(place.identity, identity.to_message())


def stored_identity(place: FilePlace) -> Identity | None:
    """Whose image it is; None where its file did not state it, or it is gone."""
    try:
        return Identity.from_message(json.loads(place.identity.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def stored_mammogram(place: FilePlace) -> Mammogram:
    """The mammogram that was stored.

    Raises
    ------
    OSError
        It is gone.
    """
    facts = json.loads(place.facts.read_bytes())
    pixels = np.fromfile(place.original, dtype="<u2").astype(np.uint16, copy=False)
    return from_facts(facts, pixels.reshape(facts["rows"], facts["columns"]))
