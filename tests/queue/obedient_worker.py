"""A worker that does what it is told, badly where it is told so: a real process with the real models."""

from __future__ import annotations

import os
import signal
import time

from mammoscope.errors import InputError
from mammoscope.queue.background import Message, Reply, Tools, serve_jobs


def main() -> None:
    serve_jobs(_work)


def _work(job: Message, tools: Tools, reply: Reply) -> None:
    if job["do"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job["do"] == "sleep":
        time.sleep(60)
    if job["do"] == "refuse":
        raise InputError("/home/somebody/film.dcm", "is no mammogram")
    if job["do"] == "break":
        raise ZeroDivisionError("Jane Doe")
    if job["do"] == "tell":
        for share in (0.25, 0.5):
            reply({"progress": share})
    reply({"done": job["do"], "said": tools.settings["said"]})
