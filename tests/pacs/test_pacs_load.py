"""A day's load in small: many associations at once while workers are killed at random; each image gets one result.

``pytest -m load -s tests/pacs`` does all 500 images; by itself, ten. Prints its seed and its figures.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock, Thread

import pytest
from films import encoded, film, film_uid
from orthanc import Orthanc, sources
from pacs_process import PacsProcess

from mammoscope.pacs.queued_image import ImageState

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find workers")


class Killed:
    """A receiver that is started again each time that it was killed."""

    def __init__(self, folder: Path, port: int, target: str) -> None:
        self._arguments = ("receive", "--port", str(port), "--send-to", target, "--threshold", "0.99")
        self._arguments += ("--pause", "0.2", "--attempts", "20")
        self._folder, self._lock = folder, Lock()
        self.deaths: Counter[str] = Counter()
        self.process = PacsProcess(folder, *self._arguments)

    def kill_worker(self) -> None:
        with self._lock:
            self.deaths["workers"] += self.process.kill_worker()

    def kill_all(self) -> None:
        with self._lock:
            self.process.end(signal.SIGKILL)
            self.deaths["receivers"] += 1
            self.process = PacsProcess(self._folder, *self._arguments)

    def counts(self) -> dict[ImageState, int]:
        with self._lock:
            return self.process.counts()


@pytest.mark.load
@pytest.mark.usefixtures("dcmtk")
@pytest.mark.parametrize(
    ("images", "associations", "kills", "seed"),
    [
        pytest.param(10, 5, 5, 1, id="10 images"),
        pytest.param(500, 20, 50, 1, id="500 images", marks=[pytest.mark.load, pytest.mark.timeout(5400)]),
    ],
)
def test_each_image_gets_one_result(
    orthanc: Orthanc, tmp_path: Path, images: int, associations: int, kills: int, seed: int
) -> None:
    chance, begin = random.Random(seed), time.monotonic()
    folders = [tmp_path / f"association-{number}" for number in range(associations)]
    for number in range(images):
        folder = folders[number % associations]
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.dcm").write_bytes(encoded(film(number)))
    with PacsProcess(tmp_path / "probe", "receive", "--port", "0", "--send-to", orthanc.node) as probe:
        port = probe.port
    receiver = Killed(tmp_path, port, orthanc.node)
    is_over = Event()

    def kill_at_random() -> None:
        """At moments that depend on how far it is, so that a slow machine comes to the end as well."""
        for moment in sorted(chance.sample(range(1, 2 * images), kills)):
            while (counts := receiver.counts()) and sum(counts.values()) + counts[ImageState.SENT] < moment:
                if is_over.wait(0.2):
                    return
            time.sleep(chance.uniform(0, 1))
            receiver.kill_all() if chance.random() < 0.2 else receiver.kill_worker()

    def send(folder: Path) -> int:
        """Send until all were accepted, as a modality does; returns how often."""
        files = [str(path) for path in sorted(folder.iterdir())]
        command = ["storescu", "-aet", "MODALITY", "-aec", "MAMMOSCOPE", "127.0.0.1", str(port), *files]
        for attempt in range(1, 100):
            if subprocess.run(command, capture_output=True, timeout=300, check=False).returncode == 0:
                return attempt
            time.sleep(0.5)
        raise AssertionError("never accepted")

    killer = Thread(target=kill_at_random)
    killer.start()
    try:
        with ThreadPoolExecutor(associations) as senders:
            attempts = sum(senders.map(send, folders))
        accepted = time.monotonic() - begin
        while receiver.counts()[ImageState.SENT] < images:
            assert not receiver.counts()[ImageState.DEAD], receiver.process.log
            time.sleep(0.5)
    finally:
        is_over.set()
        killer.join()
        receiver.process.end()
    counts = receiver.counts()
    found = Counter(sources(orthanc))
    sys.stdout.write(
        f"\n{images} images in {associations} associations ({attempts} with those that were sent again), seed {seed}: "
        f"accepted after {accepted:.0f} s, all done after {time.monotonic() - begin:.0f} s, "
        f"{receiver.deaths['workers']} workers and {receiver.deaths['receivers']} receivers killed, "
        f"{len(found)} images with a result, {max(found.values())} at most each\n"
    )
    assert sum(counts.values()) == counts[ImageState.SENT] == images
    assert found == Counter({("SR", film_uid(number)): 1 for number in range(images)})
    assert receiver.deaths["workers"] > 0 and "Traceback" not in receiver.process.log
