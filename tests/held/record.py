"""Write the record that ``test_held.py`` holds the code to: ``python -m held.record``, with ``tests`` on PYTHONPATH.

It was written by commit fd832c2, before code moved into the rooms of today, and is written again only where findings or
figures are meant to change; the commit that does so says why. What needs the shared data is left as it is where that is
absent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from held import figures, findings
from held.drawn import write_small_dataset
from held.images import GROUPS, NEEDS, TRAINING
from held.release import write_release
from mammoscope.bundle import load_bundle

FOLDER = Path(__file__).parent / "recorded"
SMALL, VALIDATION = "figures-small", "figures-validation"
SMALL_OPTIONS = ("--draws", "200")


def machine() -> str:
    """What must be the same for figures to be the same to the last digit."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = models[0] if models else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(cores, int(wanted)) if wanted.isdigit() else cores
    return f"{name}, threads {threads}, onnxruntime {version('onnxruntime')}, numpy {version('numpy')}"


def read(name: str) -> dict[str, dict[str, object]]:
    """One file of the record."""
    content: dict[str, dict[str, object]] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


def main() -> None:
    """Write what is asked for, or all."""
    parser = argparse.ArgumentParser(description="Record the findings and figures of the code on PYTHONPATH.")
    parser.add_argument("parts", nargs="*", default=[], help=f"of {', '.join((*GROUPS, SMALL, VALIDATION))}; none: all")
    parts = parser.parse_args().parts or [*GROUPS, SMALL, VALIDATION]
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            _record(part, Path(folder))


def _record(part: str, folder: Path) -> None:
    needed = TRAINING / "lesions.csv" if part == VALIDATION else NEEDS.get(part)
    if needed is not None and not needed.exists():
        sys.stdout.write(f"{part}: left as it is, needs {needed}\n")
        return
    release = write_release(folder / f"release-{part}")
    if part in GROUPS:
        bundle = load_bundle(release)
        content = {name: findings.analysed(mammogram, bundle) for name, mammogram in GROUPS[part](folder)}
    else:
        small = part == SMALL
        data = write_small_dataset(folder / "small") if small else figures.divided(TRAINING, folder / "split")
        options = (*(SMALL_OPTIONS if small else ()), "--bundle", str(release))
        content = {stage: figures.evaluated(stage, data, folder / part / stage, *options) for stage in figures.STAGES}
        content["machine"] = {"name": machine()}
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{part}.json"
    # One image or stage a line: a change of the record shows which ones moved.
    lines = (f"{json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in content.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
