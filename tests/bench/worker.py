"""A process of the benchmark: gets ready, then times one file a line of standard input.

It runs with the module search path of the version that it times, so it uses nothing else of the tests.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

PEER_SIDE = 1750  # pixels: the longer side of the picture that the peer's detector sees
Spent = dict[str, tuple[float, float]]


def cpu_seconds() -> float:
    """CPU seconds of this process and of the children that it has now, all their threads."""
    children = [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    # The number of the clock of another process, see clock_getcpuclockid(3).
    return time.process_time() + sum(time.clock_gettime((~int(pid) << 3) | 2) for pid in children)


@contextmanager
def timed(spent: Spent, name: str) -> Iterator[None]:
    """Note wall and CPU seconds of a block."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    yield
    spent[name] = (time.perf_counter() - wall, cpu_seconds() - cpu)


def mammoscope_ready(folder: Path, **loaded: bool) -> Callable[[Path], Spent]:
    """Load the models and start the decoder, as a service does; overlays are written to ``folder``."""
    from mammoscope.bundle import load_bundle
    from mammoscope.pipeline import examine_views
    from mammoscope.readers import IsolatedReader
    from mammoscope.writers.overlay.picture import render_overlay
    from mammoscope.writers.png import write_png

    bundle, reader = load_bundle(**loaded), IsolatedReader()
    bundle.load()
    reader.start()

    def time_one(path: Path) -> Spent:
        spent: Spent = {}
        with timed(spent, "reading"):
            mammogram = reader.read(path)
        with timed(spent, "analysis"):
            (examined,) = examine_views([mammogram], bundle)
        with timed(spent, "overlay"):
            write_png(folder / "overlay.png", render_overlay(mammogram, examined.analysis))
        return spent

    return time_one


def peer_ready(folder: Path) -> Callable[[Path], Spent]:
    """The peer's detector with random weights, which take the same time as trained ones; its picture is noise."""
    import torch
    from torchvision.models.detection import retinanet_resnet50_fpn

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "0")) or torch.get_num_threads())
    torch.manual_seed(0)
    network = retinanet_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=2, min_size=PEER_SIDE, max_size=PEER_SIDE
    ).eval()

    def time_one(path: Path) -> Spent:
        from pydicom import dcmread

        header, spent = dcmread(path, stop_before_pixels=True), Spent()
        picture = torch.rand(3, int(header.Rows), int(header.Columns))
        with timed(spent, "analysis"), torch.inference_mode():
            network([picture])
        return spent

    return time_one


def main() -> None:
    """Answer each path on standard input with a line of JSON."""
    replies, sys.stdout = sys.stdout, sys.stderr
    ready: dict[str, Callable[[Path], Any]] = {
        "mammoscope": mammoscope_ready,
        "mammoscope-fast": partial(mammoscope_ready, fast=True),
        "peer": peer_ready,
    }
    time_one = ready[sys.argv[1]](Path(sys.argv[2]))
    for line in sys.stdin:
        replies.write(json.dumps(time_one(Path(line.rstrip("\n")))) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
