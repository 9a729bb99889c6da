"""A program that takes the place of a process, whose threads would still write, to remove its folder.

It ends the other processes of its group first, if it leads one. Run as a file of its own, it needs no package:
``python -I remover.py FOLDER``.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

_TRIES, _PAUSE_SECONDS = 100, 0.05  # one who writes may take a moment to end


def _end_others() -> None:
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    _end_others()
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_PAUSE_SECONDS)
        if not folder.exists():
            break
