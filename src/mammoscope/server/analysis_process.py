"""The process that works for the server: it reads a file, or analyses one that was read, or draws the example."""

from __future__ import annotations

import dataclasses
import shutil
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread

from mammoscope.errors import MammoscopeError
from mammoscope.example import EXAM_FILES, write_view
from mammoscope.pipeline import Examination, examine_views
from mammoscope.queue.background import Message, Reply, Tools, serve_jobs
from mammoscope.readers import input_name
from mammoscope.server.file_place import FilePlace
from mammoscope.server.mammogram_files import store_identity, store_mammogram, stored_mammogram
from mammoscope.server.models import View
from mammoscope.writers.json import write_analysis
from mammoscope.writers.png import write_png

_DRAWING = Lock()


def main() -> None:
    """Serve the server."""
    serve_jobs(_work)


def _work(job: Message, tools: Tools, reply: Reply) -> None:
    tasks = {"read": _read, "examine": _examine, "draw": _draw}
    tasks[job["task"]](job, tools, reply)


def _read(job: Message, tools: Tools, reply: Reply) -> None:
    """Make a file ready to be shown and analysed."""
    place = FilePlace(Path(job["folder"]))
    if job["example"]:
        place.folder.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(_drawn(Path(tools.settings["example"]), job["name"]), place.upload)
    mammogram = dataclasses.replace(tools.reader.read(place.upload), name=input_name(Path(job["name"])))
    store_mammogram(mammogram, place)
    store_identity(tools.reader.identity(place.upload), place)
    reply({"done": [View.of(mammogram).model_dump_json()]})


def _examine(job: Message, tools: Tools, reply: Reply) -> None:
    """Analyse files that were read, together, and say how far they are."""
    places = [FilePlace(Path(folder)) for folder in job["folders"]]
    views = [stored_mammogram(place) for place in places]
    found = examine_views(
        views,
        tools.bundle,
        threshold=tools.settings["floor"],
        progress=lambda _, share: reply({"progress": share}),
    )
    for place, examination in zip(places, found, strict=True):
        _write(examination, place, tools)
    done = [View.of(view, one.prepared) for view, one in zip(views, found, strict=True)]
    reply({"done": [view.model_dump_json() for view in done]})


def _write(examination: Examination, place: FilePlace, tools: Tools) -> None:
    analysis, prepared = examination
    if prepared is not None:
        write_png(place.preprocessed, tools.bundle.shown_contrast.apply(prepared.pixels))
    write_analysis(analysis, place.analysis)  # last: where it is, all is


def _draw(job: Message, tools: Tools, reply: Reply) -> None:
    """Begin to draw the synthetic exam beside other work: a view takes about a second."""
    Thread(target=_draw_all, args=(Path(tools.settings["example"]),), daemon=True).start()
    reply({"done": None})


def _draw_all(folder: Path) -> None:
    with suppress(MammoscopeError):  # said where the exam is asked for
        for name in EXAM_FILES:
            _drawn(folder, name)


def _drawn(folder: Path, name: str) -> Path:
    """A view of the synthetic exam, drawn where it is not there."""
    path = folder / name
    with _DRAWING:
        if not path.exists():
            write_view(path, EXAM_FILES.index(name))
    return path
