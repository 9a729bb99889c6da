"""Fuzz the reader for a bounded number of files: ``PYTHONPATH=tests python -m fuzz.run --files 100000``.

Every file goes through the isolated reader, as the product reads a stranger's file. Where atheris is installed, the
header is then searched further, guided by coverage, in a process of its own (``fuzz.guided``). File number N of seed S
is always the same one: ``--only N --seed S`` makes it again. Ends with 1 where anything broke what must hold.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from rich.console import Console

from fuzz.corpus import MEAN_FILES
from fuzz.invariant import check_mammogram, check_refusal
from fuzz.mutations import cut_everywhere, mutated
from fuzz.seeds import seeds
from mammoscope.errors import InputError
from mammoscope.readers import IsolatedReader, Limits

LIMITS = Limits()
_SLACK_SECONDS = 5.0
_KEPT = re.compile(r"crashed|longer than|to decode$")  # refusals that cost a worker: allowed, and worth a look
_EVERY = 5000


@dataclass
class Tally:
    """What became of the files."""

    kinds: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    @property
    def files(self) -> int:
        """How many."""
        return sum(self.kinds.values())


def read_one(reader: IsolatedReader, path: Path, name: str, data: bytes, tally: Tally) -> str:
    """Read a file and judge what comes of it; returns the kind."""
    path.write_bytes(data)
    started = time.monotonic()
    try:
        try:
            kind = check_mammogram(reader.read(path), LIMITS, data)
        except InputError as error:
            kind = check_refusal(path, error, data)
        seconds = time.monotonic() - started
        assert seconds < LIMITS.seconds + _SLACK_SECONDS, f"it took {seconds:.0f} s"
    except Exception as error:
        kind = "BROKEN"
        tally.broken.append(f"{name}: {type(error).__name__}: {error}")
    tally.kinds[kind] += 1
    tally.slowest = max(tally.slowest, (time.monotonic() - started, name))
    return kind


def all_files(seed: int) -> Iterator[tuple[str, bytes]]:
    """The corpus, every sound file cut at each of its elements, then mutations without end; each with its name."""
    for mean in MEAN_FILES:
        yield f"corpus {mean.name}", mean.make()
    for number, sound in enumerate(seeds()):
        for length in cut_everywhere(sound):
            yield f"sound file {number} cut at {length}", sound[:length]
    number = 0
    while True:
        yield f"mutation {number}", mutated(Random(f"{seed}/{number}"))
        number += 1


def fuzz(count: int, seed: int, kept: Path, console: Console) -> Tally:
    """Read ``count`` files in the isolated reader."""
    tally = Tally()
    with TemporaryDirectory() as folder, IsolatedReader(LIMITS) as reader:
        path = Path(folder, "mean.dcm")
        for name, data in islice(all_files(seed), count):
            kind = read_one(reader, path, name, data, tally)
            if kind == "BROKEN" or _KEPT.search(kind):
                kept.mkdir(parents=True, exist_ok=True)
                (kept / name.replace(" ", "-")).write_bytes(data)
            if tally.files % _EVERY == 0:
                console.print(f"{tally.files} files, {len(tally.broken)} broken")
    return tally


def report(tally: Tally, seconds: float, seed: int, console: Console) -> None:
    """Print count, time, seed, outcomes and memory."""
    console.print(f"{tally.files} files in {seconds:.0f} s, seed {seed}, each through the isolated reader")
    for kind, count in tally.kinds.most_common():
        console.print(f"{count:8} {kind}")
    console.print(f"slowest: {tally.slowest[0]:.1f} s, {tally.slowest[1]} (limit {LIMITS.seconds:g} s)")
    for line in tally.broken:
        console.print(f"BROKEN {line}")
    if sys.platform != "win32":
        import resource

        for what, who in (("decoder", resource.RUSAGE_CHILDREN), ("main process", resource.RUSAGE_SELF)):
            # Linux counts in KiB, macOS in bytes.
            peak = resource.getrusage(who).ru_maxrss / (1 << 20 if sys.platform == "linux" else 1 << 30)
            console.print(
                f"peak memory of the {what}: {peak:.2f} GiB (cap of the decoder {LIMITS.memory_bytes / 2**30:g} GiB)"
            )


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000, help="files through the isolated reader")
    parser.add_argument("--guided", type=int, default=20_000, help="headers read under atheris, where it is installed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, default=Path("out/fuzz"), help="where files worth a look are put")
    parser.add_argument("--only", type=int, help="write and read this mutation alone")
    options = parser.parse_args()
    console = Console(markup=False, highlight=False, soft_wrap=True)
    if options.only is not None:
        options.kept.mkdir(parents=True, exist_ok=True)
        path, tally = options.kept / f"mutation-{options.only}", Tally()
        with IsolatedReader(LIMITS) as reader:
            data = mutated(Random(f"{options.seed}/{options.only}"))
            console.print(read_one(reader, path, path.name, data, tally), *tally.broken, path, sep="\n")
        return len(tally.broken)
    started = time.monotonic()
    tally = fuzz(options.files, options.seed, options.kept, console)
    report(tally, time.monotonic() - started, options.seed, console)
    if find_spec("atheris") is None:
        console.print("atheris is not installed: no search guided by coverage")
        return int(bool(tally.broken))
    command = [sys.executable, "-m", "fuzz.guided", str(options.guided), str(options.seed), str(options.kept)]
    return int(bool(tally.broken)) | subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
