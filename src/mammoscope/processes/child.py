"""Child processes that talk to this one on their standard streams."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from threading import Timer
from typing import BinaryIO, NamedTuple, cast

_PROGRAM = (
    "import sys; from importlib import import_module; name = sys.argv[1]; sys.path[:] = sys.argv[2:]; "
    "import_module(name).main()"
)


class Child(NamedTuple):
    """A started process, and the unbuffered streams to write to it and read from it."""

    process: subprocess.Popen[bytes]
    requests: BinaryIO
    replies: BinaryIO


def start_child(module: str, environment: Mapping[str, str], *, own_group: bool = False) -> Child:
    """Start a process that runs the ``main`` of a module, with the module search path of this process.

    Parameters
    ----------
    module
        Its name.
    environment
        Variables for the process, added to this one's.
    own_group
        Whether the process leads a group, in which those that it starts can be killed with it.

    Raises
    ------
    OSError
        The process cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 (our own interpreter, nothing of the user's)
        [sys.executable, "-c", _PROGRAM, module, *(os.path.abspath(place) for place in sys.path)],  # noqa: PTH100
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=own_group,
        env={**os.environ, **environment},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    return Child(process, cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout))


class Deadline:
    """Calls ``kill`` when a block takes too long. ``passed`` says whether it did."""

    def __init__(self, seconds: float, kill: Callable[[], object]) -> None:
        self.passed = False
        self._kill = kill
        self._timer = Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()
        self._timer.join()

    def _pass(self) -> None:
        self.passed = True
        self._kill()
