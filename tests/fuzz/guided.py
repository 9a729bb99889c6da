"""Search the header's code guided by coverage: ``python -m fuzz.guided RUNS SEED FOLDER``, under atheris.

It reads in this process, so native codecs are left out (a stand-in refuses every compressed stream): what is searched
is the Python of mammoscope's reader and of pydicom, up to and with the display values of uncompressed pixels.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, NoReturn

import atheris

with atheris.instrument_imports(
    include=["mammoscope.readers", "pydicom.filereader", "pydicom.dataelem", "pydicom.values"]
):
    import mammoscope.readers.dicom.file  # noqa: F401 (else imported late, when nothing is instrumented any more)
    from mammoscope.readers import read
    from mammoscope.readers.dicom import codecs
    from mammoscope.readers.raster import file as raster

from fuzz.invariant import check_mammogram, check_refusal
from fuzz.mutations import MUTATIONS
from fuzz.seeds import seeds
from mammoscope.errors import InputError
from mammoscope.readers import Limits

LIMITS = Limits(max_pixels=1_000_000)
_LONGEST = 1 << 20


def _refuse(*arguments: Any, **options: Any) -> NoReturn:
    """In place of a native codec."""
    raise ValueError("left out")


class _Search:
    """Counts what becomes of the headers, and ends the search after so many."""

    def __init__(self, runs: int, seed: int, folder: Path) -> None:
        self.runs, self.seed, self.path = runs, seed, folder / "guided.dcm"
        self.kinds: Counter[str] = Counter()
        self.broken = 0
        self.started = time.monotonic()

    def one(self, data: bytes) -> None:
        """Read one file that atheris made."""
        self.path.write_bytes(data)
        try:
            try:
                kind = check_mammogram(read.read_mammogram(self.path, LIMITS), LIMITS, data)
            except InputError as error:
                kind = check_refusal(self.path, error, data)
        except Exception as error:
            kind = f"BROKEN {type(error).__name__}: {error}"
            self.broken += 1
            self.path.with_name(f"guided-{self.broken}").write_bytes(data)
        self.kinds[kind] += 1
        if self.kinds.total() == self.runs:
            # libFuzzer leaves without giving Python another turn.
            sys.stdout.write(self.report())
            sys.stdout.flush()
            os._exit(int(bool(self.broken)))

    def report(self) -> str:
        """Count, time, seed and the kinds."""
        seconds = time.monotonic() - self.started
        first = (
            f"{self.runs} files under atheris in {seconds:.0f} s, seed {self.seed}, in process, without native codecs"
        )
        return "\n".join([first, *(f"{count:8} {kind}" for kind, count in self.kinds.most_common()), ""])


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Spoil a file that covered something new, or now and then as libFuzzer itself would."""
    random = Random(seed)
    if random.random() < 0.2:
        return bytes(atheris.Mutate(data, max_size))
    return random.choice(MUTATIONS)(data or random.choice(seeds()), random)[:max_size]


def main() -> None:
    """Search as the command line says; ends the process."""
    runs, seed, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    start = folder / "sound"
    start.mkdir(parents=True, exist_ok=True)
    for number, sound in enumerate(seeds()):
        (start / str(number)).write_bytes(sound)
    codecs.imagecodecs = SimpleNamespace(
        dicomrle_decode=_refuse, jpeg8_decode=_refuse, jpegls_decode=_refuse, jpeg2k_decode=_refuse
    )
    raster._DECODERS = dict.fromkeys(raster._DECODERS, _refuse)
    search = _Search(runs, seed, folder)
    # To libFuzzer seed 0 means any.
    arguments = [sys.argv[0], f"-seed={seed + 1}", f"-max_len={_LONGEST}", "-verbosity=0", str(start)]
    atheris.Setup(arguments, search.one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
