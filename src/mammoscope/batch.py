"""Analyse many files: a failure is one row and never the end."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

from mammoscope.batch_job import AnalysisJob, Done, Options, Planned, SharedBundle, failed
from mammoscope.bundle import Bundle
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.execution.backend import Crashed, backend_named
from mammoscope.result_names import result_names

__all__ = ["Done", "Options", "analyze_files"]


def analyze_files(paths: Sequence[Path], out: Path, bundle: Bundle, options: Options) -> Generator[Done]:
    """Analyse files and write ``NAME.json``, ``NAME.overlay.png`` and what else is wanted for each into ``out``.

    Files of one name in different folders get the folder's name in front. Results are whole or not there, so a batch
    that was stopped is resumed by starting it again. Nothing is kept of a file once its outcome is yielded: many files
    take no more memory than few.

    Yields
    ------
    Done
        One for each file, as it is finished. Closing the generator ends the batch after the files under way.

    Raises
    ------
    MammoscopeError
        ``out`` cannot be made or written to, or no worker can be started.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MammoscopeError(f"{out}: cannot be made ({error.strerror})") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise MammoscopeError(f"{out}: cannot be written to, choose another folder")
    planned = (Planned(path, out / name) for path, name in zip(paths, result_names(paths), strict=True))
    backend = backend_named(options.backend, options.workers)
    with closing(backend.run(AnalysisJob(SharedBundle.of(bundle), options), planned)) as outcomes:
        for item, done in outcomes:
            if isinstance(done, Crashed):
                error = InputError(item.path, f"the process that analysed it ended ({done.reason})")
                yield failed(item.path, error, options.audit, "failed")
            else:
                yield done
