"""The process that analyses: it holds the bundle and the isolated reader, and does one file at a time."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

from mammoscope.bundle import Bundle, load_bundle
from mammoscope.errors import InputError, MammoscopeError, place_of
from mammoscope.example import write_exam
from mammoscope.files import replacing
from mammoscope.mammogram import Mammogram
from mammoscope.pipeline import examine
from mammoscope.readers import IsolatedReader, Limits, input_name
from mammoscope.readers.wire import receive_message, send_message, take_over_standard_streams
from mammoscope.server.files import FilePlace
from mammoscope.server.models import View
from mammoscope.writers.png import write_png
from mammoscope.writers.report_json import write_analysis

EXAMPLE_NAMES = ("phantom-R-CC.dcm", "phantom-L-CC.dcm", "phantom-R-MLO.dcm", "phantom-L-MLO.dcm")


def main() -> None:
    """Serve jobs from standard input until it ends, and end at once when it does: then the server is gone."""
    requests, replies = take_over_standard_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this process
    setup = receive_message(requests)
    inbox: SimpleQueue[dict[str, Any]] = SimpleQueue()
    doomed = Path(setup["ephemeral"]) if setup["ephemeral"] else None
    Thread(target=_receive, args=(requests, inbox, doomed), daemon=True).start()
    with IsolatedReader(Limits(**setup["limits"])) as reader:
        try:
            bundle = load_bundle(Path(setup["bundle"]))
            _ = bundle.detector, bundle.segmenter, bundle.classifier  # loaded before the first file comes
        except Exception as error:
            send_message(replies, {"fault": place_of(error)})
            return
        send_message(replies, {"ready": True})
        while True:
            _work(inbox.get(), reader, bundle, setup["floor"], replies)


def _work(job: dict[str, Any], reader: IsolatedReader, bundle: Bundle, floor: float, replies: BinaryIO) -> None:
    """Read, show, examine and write one file, and say so at each step."""
    place = FilePlace(Path(job["folder"]))
    try:
        if job["example"] and not place.upload.exists():
            _make_example(place.folder.parent)
        mammogram = dataclasses.replace(reader.read(place.upload), name=input_name(Path(job["name"])))
        _write_original(mammogram, place.original)
        send_message(replies, {"view": View.of(mammogram).model_dump_json()})
        analysis, prepared = examine(mammogram, bundle, threshold=floor)
        if prepared is not None:
            write_png(place.preprocessed, bundle.manifest.detector.contrast.apply(prepared.pixels))
        write_analysis(analysis, place.analysis)  # last: where it is, all is
        send_message(replies, {"done": View.of(mammogram, prepared).model_dump_json()})
    except InputError as error:
        send_message(replies, {"problem": error.problem})
    except MammoscopeError as error:  # its text names a path of this machine
        send_message(replies, {"problem": "its results cannot be written", "fault": place_of(error)})
    except MemoryError as error:
        send_message(replies, {"problem": "needs more memory than there is", "fault": place_of(error)})
    except Exception as error:
        problem = f"the analysis failed ({type(error).__name__})"
        send_message(replies, {"problem": problem, "fault": place_of(error)})


def _write_original(mammogram: Mammogram, path: Path) -> None:
    with replacing(path) as temporary:
        mammogram.pixels.astype("<u2", copy=False).tofile(temporary)


def _make_example(folder: Path) -> None:
    """Put the synthetic exam where uploads of its four files would be."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        for number, path in enumerate(write_exam(Path(made))):
            place = FilePlace(folder / str(number))
            place.folder.mkdir(mode=0o700, exist_ok=True)
            path.replace(place.upload)


def _receive(requests: BinaryIO, inbox: SimpleQueue[dict[str, Any]], doomed: Path | None) -> None:
    """Pass on what the server asks for; when it is gone, remove what it would have removed, and end."""
    with suppress(EOFError, OSError, ValueError):
        while True:
            inbox.put(receive_message(requests))
    for _ in range(20):
        if doomed is None or not doomed.exists():
            break
        shutil.rmtree(doomed, ignore_errors=True)
        time.sleep(0.05)
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)  # the decoder as well
    os._exit(1)
