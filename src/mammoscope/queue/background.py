"""A process that analyses in the background: the side that sends jobs, and the worker.

The worker holds the bundle and the isolated reader and does one file at a time. A file may crash it, and it ends
with the process that sends jobs, however that ends.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

from mammoscope.bundle import Bundle, load_bundle
from mammoscope.errors import InputError, MammoscopeError, place_of
from mammoscope.processes.child import Deadline, start_child
from mammoscope.processes.messages import receive_message, send_message, take_over_standard_streams
from mammoscope.queue import remover
from mammoscope.readers import IsolatedReader, Limits

logger = logging.getLogger(__name__)

Message = dict[str, Any]
Reply = Callable[[Message], None]

_START_SECONDS = 120.0
_PING, _PING_SECONDS = {"ping": True}, 30.0


class JobFailedError(MammoscopeError):
    """A job failed.

    Parameters
    ----------
    problem
        What went wrong, for the user.
    final
        Whether it would always fail again.
    """

    def __init__(self, problem: str, *, final: bool = False) -> None:
        super().__init__(problem)
        self.problem, self.final = problem, final


class BackgroundProcess:
    """A worker process, with the decoder that it starts.

    Parameters
    ----------
    module
        Name of the module whose ``main`` calls ``serve_jobs``.
    bundle
        Folder of the bundle.
    limits
        Under which each file is read.
    ephemeral
        The folder that the worker removes if this process is killed; temporary files of its libraries go there too.
    **settings
        Further settings for the worker, as JSON.

    Raises
    ------
    OSError
        The process cannot be started.
    """

    def __init__(
        self, module: str, bundle: Path, limits: Limits, ephemeral: Path | None = None, **settings: Any
    ) -> None:
        self._is_ready = False
        temporary = {} if ephemeral is None else {"TMPDIR": str(ephemeral)}
        # One group with the decoder, so that both can be killed together.
        self._process, self._requests, self._replies = start_child(module, temporary, own_group=True)
        with suppress(OSError):  # a worker that dies at once is found by wait_until_ready
            self.send(
                {
                    "bundle": os.path.abspath(bundle),  # noqa: PTH100
                    "limits": asdict(limits),
                    "ephemeral": None if ephemeral is None else str(ephemeral),
                    **settings,
                }
            )

    @property
    def is_running(self) -> bool:
        """Whether the process can take a job."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait until the models are loaded.

        Raises
        ------
        MammoscopeError
            They could not be loaded; says why.
        """
        if self._is_ready:
            return
        with self.killed_after(_START_SECONDS):
            try:
                reply = self.receive()
            except (EOFError, OSError, ValueError):
                reply = {}
        if "ready" not in reply:
            self.kill()
            raise MammoscopeError(f"the analysis process ended as it started ({reply.get('fault', 'no reason given')})")
        self._is_ready = True

    def ask(
        self, name: str, request: Message, seconds: float, progress: Callable[[float], object] | None = None
    ) -> Message:
        """Send one job and return the answer. If the answer is incomplete, the process is killed.

        Parameters
        ----------
        name
            What the job is called in the log.
        request
            The job, as the worker's module takes it.
        seconds
            Time after which the process is killed.
        progress
            Called with the share of the job that is done, 0 to 1, if the worker reports it.

        Raises
        ------
        JobFailedError
            The job failed, crashed the process, or took too long.
        """
        try:
            with self.killed_after(seconds):
                self.send(request)
                while "progress" in (reply := self.receive()):
                    if progress is not None:
                        progress(reply["progress"])
        except (EOFError, OSError, ValueError):
            self.kill()
            raise JobFailedError("the analysis process ended on it, or took too long") from None
        except BaseException:  # the rest of the answer would be read as the answer to the next job
            self.kill()
            raise
        if "fault" in reply:
            logger.error("%s: %s", name, reply["fault"])
        if "problem" in reply:
            raise JobFailedError(str(reply["problem"]), final=bool(reply.get("final")))
        return reply

    def ping(self) -> None:
        """See whether the process answers; raises ``JobFailedError`` and kills it if it does not."""
        self.ask("ping", _PING, _PING_SECONDS)

    def send(self, message: Message) -> None:
        """Ask for something."""
        send_message(self._requests, message)

    def receive(self) -> Message:
        """Wait for an answer; EOFError where the process has ended."""
        return receive_message(self._replies)

    def killed_after(self, seconds: float) -> Deadline:
        """A block during which the process is killed when time is up."""
        return Deadline(seconds, self.kill)

    def kill(self) -> None:
        """Kill the process and its decoder; harmless if they have ended."""
        if self._process.poll() is None:
            with suppress(OSError):
                if sys.platform == "win32":
                    self._process.kill()
                else:
                    os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@dataclass(frozen=True)
class Tools:
    """The worker's bundle and reader. ``settings`` are those that it was started with."""

    reader: IsolatedReader
    bundle: Bundle
    settings: Message


def serve_jobs(work: Callable[[Message, Tools, Reply], None]) -> None:
    """Do jobs from standard input until it is closed, and exit at once when it is: then the parent has ended.

    Parameters
    ----------
    work
        Does one job and replies at least once. An exception becomes the reply, see ``failure_of``.
    """
    requests, replies = take_over_standard_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    settings = receive_message(requests)
    inbox: SimpleQueue[Message] = SimpleQueue()
    doomed = Path(settings["ephemeral"]) if settings["ephemeral"] else None
    Thread(target=_receive, args=(requests, inbox, doomed), daemon=True).start()

    def reply(message: Message) -> None:
        send_message(replies, message)

    with IsolatedReader(Limits(**settings["limits"])) as reader:
        try:
            bundle = load_bundle(Path(settings["bundle"]))
            bundle.load()  # before the first file comes
        except Exception as error:
            reply({"fault": place_of(error)})
            return
        reply({"ready": True})
        tools = Tools(reader, bundle, settings)
        while True:
            job = inbox.get()
            try:
                if job == _PING:
                    reply(_PING)
                else:
                    work(job, tools, reply)
            except Exception as error:
                reply(failure_of(error))


def failure_of(error: Exception) -> Message:
    """``problem`` for the user, without a path of this machine; ``fault`` for the log; ``final``: always fails."""
    if isinstance(error, InputError):
        return {"problem": error.problem, "final": True}
    if isinstance(error, MammoscopeError):
        problem = "its results cannot be written"
    elif isinstance(error, MemoryError):
        problem = "needs more memory than there is"
    else:
        problem = f"the analysis failed ({type(error).__name__})"
    return {"problem": problem, "fault": place_of(error)}


def _receive(requests: BinaryIO, inbox: SimpleQueue[Message], doomed: Path | None) -> None:
    """Pass on jobs; when the parent has ended, remove what it would have removed, and exit."""
    with suppress(EOFError, OSError, ValueError):
        while True:
            inbox.put(receive_message(requests))
    if doomed is not None:
        # In this process's place: the thread that works would put back what is removed.
        with suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-I", str(Path(remover.__file__)), str(doomed)])  # noqa: S606
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)  # the decoder as well
    os._exit(1)
