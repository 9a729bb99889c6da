"""The process that decodes: it reads files in turn, with limits, and any of them may crash it."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, cast

from mammoscope.errors import InputError, place_of
from mammoscope.mammogram import Mammogram
from mammoscope.processes.messages import receive_message, send_message, take_over_standard_streams
from mammoscope.readers.exam_key import RUN_SECRET, ExamSecret
from mammoscope.readers.identify import read_exam_key, read_identity, read_stated_image
from mammoscope.readers.limits import Limits
from mammoscope.readers.wire import send_pixels, to_facts

Read = Callable[[Path, Limits, ExamSecret], Mammogram]

_GRACE_SECONDS = 10.0


def main() -> None:
    """Serve requests from standard input until it ends."""
    requests, replies = take_over_standard_streams()
    # Ctrl-C reaches the whole group; the parent decides when this process ends, by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setup = receive_message(requests)
    limits, secret = Limits(**setup["limits"]), ExamSecret.from_message(setup["secret"])
    module, _, name = setup["read"].partition(":")
    read = cast(Read, reduce(getattr, name.split("."), cast(Any, import_module(module))))
    for needed in setup["imports"]:
        import_module(needed)
    _limit_memory(limits.memory_bytes)
    send_message(replies, {"ready": True})
    with Path(os.devnull).open("w") as nowhere:
        while True:
            try:
                request = receive_message(requests)
            except EOFError:
                return
            # The parent kills a slow worker; this ends one whose parent is gone.
            faulthandler.dump_traceback_later(limits.seconds + _GRACE_SECONDS, exit=True, file=nowhere)
            if request["what"] == "exam key":
                send_message(replies, {"exam_key": read_exam_key(Path(request["path"]), limits, secret)})
            elif request["what"] == "identity":
                identity = read_identity(Path(request["path"]), limits)
                send_message(replies, {"identity": identity and identity.to_message()})
            elif request["what"] == "stated image":
                stated = read_stated_image(Path(request["path"]), limits)
                send_message(replies, {"stated_image": stated and stated.to_message()})
            else:
                _answer(replies, read, Path(request["path"]), limits, secret)
            faulthandler.cancel_dump_traceback_later()


def _answer(replies: BinaryIO, read: Read, path: Path, limits: Limits, secret: ExamSecret) -> None:
    try:
        mammogram = read(path, limits, secret)
    except InputError as error:
        ran_out = isinstance(error.__cause__, MemoryError)
        send_message(replies, {"out_of_memory": True} if ran_out else {"problem": error.problem})
    except MemoryError:
        send_message(replies, {"out_of_memory": True})
    except Exception as error:  # an error of the reader must not look like a crash of a codec
        send_message(replies, {"fault": place_of(error)})
    else:
        send_message(replies, {"facts": to_facts(mammogram)})
        send_pixels(replies, mammogram.pixels)


def _limit_memory(extra_bytes: int) -> None:
    """Grant the process ``extra_bytes`` on top of its present size, and no core dump, which would hold the image."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 (not on Windows)

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    size = _address_space_bytes()
    if size is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = size + extra_bytes
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space_bytes() -> int | None:
    """Present size of the process's address space; None where the system does not tell (and enforces no limit)."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def setup_message(read: Read, limits: Limits, imports: tuple[str, ...]) -> dict[str, Any]:
    """The first message to a worker. ``read`` is sent by name, so it must be a function of an importable module."""
    name = f"{read.__module__}:{read.__qualname__}"
    if read.__module__ == "__main__" or "<" in name:
        raise ValueError(f"read is {name}, it must be a function of an importable module")
    return {"read": name, "limits": vars(limits), "imports": imports, "secret": RUN_SECRET.to_message()}
