"""Time the analysis of large mammograms beside a peer's detector: ``PYTHONPATH=tests python -m bench.run``.

Cold is the command ``mammoscope analyze FILE``, from its start to its end. Warm is a process that has loaded its
models, as a service has. CPU seconds are those of all processes and threads: they say more than wall time on a shared
machine. Versions and the peer take turns in each round, and each figure is the least of all rounds: others only add.

The peer is torchvision's RetinaNet with a ResNet-50, which others detect masses with, at 1750 pixels along the longer
side. Only its network is timed: no file is read, nothing is outlined or classified. It needs torch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import mammoscope
from bench.inputs import COLUMNS, ROWS, write_inputs
from bench.worker import PEER_SIDE, Spent

_HERE = Path(mammoscope.__file__).parents[1]
_PEER = "peer"
# Where other packages may be, such as an extra that is not in the environment.
_PLACES = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place and place != str(_HERE)]
Samples = dict[tuple[str, str], dict[str, list[tuple[float, float]]]]  # by version and file, then by part


@dataclass(frozen=True)
class Version:
    """One to be timed: its name, the folder that holds its package, and whether with ``--fast``."""

    name: str
    source: Path
    fast: bool = False

    @property
    def kind(self) -> str:
        """Of its worker."""
        return "mammoscope-fast" if self.fast else "mammoscope"

    @property
    def environment(self) -> dict[str, str]:
        """Of its processes."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join([str(self.source), *_PLACES])}


class Worker:
    """A process that is ready, see ``bench.worker``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def time(self, path: Path) -> Spent:
        """Seconds of each part, wall and CPU."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"a process of the benchmark ended with {self._process.wait()}")
        return {name: (wall, cpu) for name, (wall, cpu) in json.loads(answer).items()}


@contextmanager
def worker(kind: str, folder: Path, environment: dict[str, str]) -> Iterator[Worker]:
    """Start one."""
    command = [sys.executable, str(Path(__file__).with_name("worker.py")), kind, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Worker(process)
        assert process.stdin is not None
        process.stdin.close()


def time_cold(version: Version, path: Path, out: Path) -> tuple[float, float]:
    """Wall and CPU seconds of the command, with the processes that it starts."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "mammoscope", "analyze", str(path), "--out", str(out), "--overwrite"]
    command += ["--fast"] if version.fast else []
    process = subprocess.Popen(command, env=version.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def measure(versions: Sequence[Version], files: dict[str, Path], rounds: int, out: Path, *, peer: bool) -> Samples:
    """Everything, in turns; the first time of each warm process, which is slower, does not count."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    first = next(iter(files.values()))
    with ExitStack() as open_workers:
        warm = {
            version.name: open_workers.enter_context(worker(version.kind, out, version.environment))
            for version in versions
        }
        if peer:
            warm[_PEER] = open_workers.enter_context(worker("peer", out, dict(os.environ)))
        for one in warm.values():
            one.time(first)
        for _ in range(rounds):
            for name, path in files.items():
                for version in versions:
                    samples[version.name, name]["cold"].append(time_cold(version, path, out))
                    for part, spent in warm[version.name].time(path).items():
                        samples[version.name, name][part].append(spent)
            if peer:
                samples[_PEER, ""]["analysis"].append(warm[_PEER].time(first)["analysis"])
    return samples


def table(samples: Samples) -> str:
    """The figures in Markdown: wall / CPU seconds, and how many warm analyses the peer's CPU seconds are."""
    peer = _least(samples[_PEER, ""]["analysis"])[1] if (_PEER, "") in samples else None
    lines = [
        "| file | version | cold | reading | analysis | overlay | warm: reading and analysis | peer / warm, CPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (version, name), parts in samples.items():
        if version == _PEER:
            continue
        cold, reading, analysis, overlay = (_least(parts[key]) for key in ("cold", "reading", "analysis", "overlay"))
        warm = tuple(map(sum, zip(reading, analysis, strict=True)))
        shown = " | ".join(f"{wall:.2f} / {cpu:.2f}" for wall, cpu in (cold, reading, analysis, overlay, warm))
        ratio = f"{peer / warm[1]:.1f}" if peer is not None else "-"
        lines.append(f"| {name} | {version} | {shown} | {ratio} |")
    if peer is not None:
        wall, cpu = _least(samples[_PEER, ""]["analysis"])
        lines.append(f"| pixels in memory | peer: RetinaNet-R50, {PEER_SIDE} px | | | {wall:.2f} / {cpu:.2f} | | | |")
    return "\n".join(lines)


def _least(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(wall for wall, _ in times), min(cpu for _, cpu in times)


def machine() -> str:
    """Processor, cores and Python."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = models[0].partition(":")[2].strip() if models else platform.machine()
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} usable {'core' if cores == 1 else 'cores'}, Python {platform.python_version()}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="bench.run", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of each network and of the peer's")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--columns", type=int, default=COLUMNS)
    parser.add_argument("--only", nargs="*", default=[], help="of the files, by the first letters of their names")
    parser.add_argument("--file", type=Path, nargs="*", default=[], help="DICOM files of your own, timed too")
    parser.add_argument(
        "--other", nargs=2, action="append", default=[], metavar=("NAME", "SRC"), help="another version's src folder"
    )
    parser.add_argument("--fast", action="store_true", help="this version with --fast too")
    parser.add_argument("--no-peer", action="store_true")
    asked = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    versions = [Version(name, Path(source).resolve()) for name, source in asked.other]
    versions.append(Version("this", _HERE))
    if asked.fast:
        versions.append(Version("this, --fast", _HERE, fast=True))
    has_peer = not asked.no_peer and find_spec("torchvision") is not None
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        files = write_inputs(place, asked.rows, asked.columns, tuple(asked.only) or ("",))
        files |= {path.name: path.resolve() for path in asked.file}
        out = place / "out"
        out.mkdir()
        samples = measure(versions, files, asked.rounds, out, peer=has_peer)
    sys.stdout.write(f"{table(samples)}\n\nWall / CPU seconds, the least of {asked.rounds} rounds, ")
    sys.stdout.write(f"{asked.threads} thread(s) a network; {time.strftime('%Y-%m-%d')}; {machine()}.\n")
    if not has_peer:
        sys.stdout.write("Without the peer: torchvision is not installed, or --no-peer was given.\n")


if __name__ == "__main__":
    main()
