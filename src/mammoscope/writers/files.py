"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mammoscope.errors import MammoscopeError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name in the same folder, then give it its name.

    Raises
    ------
    MammoscopeError
        The folder is missing, full or not writable; names the file.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:60]}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        # mkstemp makes files for the owner only; give what a plain open would have given.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise MammoscopeError(f"{path}: cannot be written ({error.strerror or error})") from None
