"""Fifty uploads at once: none is lost, the page answers meanwhile, and memory stays bounded."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from server_process import Server

from mammoscope.bundle import Bundle

UPLOADS = 50
MIB = 1 << 20


def film(number: int) -> bytes:
    """A black film of 0.6 megapixels with a number's worth of noise: it is read and prepared, and holds no breast."""
    pixels = np.zeros((1024, 640), np.uint8)
    pixels[:, :8] = np.random.default_rng(number).integers(0, 255, (1024, 8), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.mark.load
@pytest.mark.skipif(sys.platform != "linux", reason="reads the server's memory in /proc")
def test_fifty_uploads_at_once(quick_bundle: Bundle, tmp_path: Path) -> None:
    large = bytes(4 * MIB)  # fails as a file, but has to be received
    with Server(tmp_path, "--bundle", str(quick_bundle.folder)) as server:
        warm = server.upload([("warm.png", film(0))])
        server.wait(warm)
        latencies: list[float] = []
        is_over = threading.Event()

        def watch() -> None:
            with httpx.Client(base_url=str(server.client.base_url)) as client:
                while not is_over.is_set():
                    begin = time.perf_counter()
                    client.get("health").raise_for_status()
                    latencies.append(time.perf_counter() - begin)
                    time.sleep(0.02)

        def send(number: int) -> str:
            files = [("files", (f"{number}.png", film(number))), ("files", ("large.dcm", large))]
            with httpx.Client(base_url=str(server.client.base_url), timeout=60) as client:
                return str(client.post("analyses", files=files).raise_for_status().json()["id"])

        watcher = threading.Thread(target=watch)
        watcher.start()
        with ThreadPoolExecutor(UPLOADS) as senders:
            ids = list(senders.map(send, range(UPLOADS)))
        while server.client.get("/health").json()["queue"]["waiting"]:
            time.sleep(0.1)
        statuses = [server.wait(analysis) for analysis in ids]
        is_over.set()
        watcher.join()
        peak = next(
            int(line.split()[1]) // 1024
            for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
    assert len(set(ids)) == UPLOADS
    assert all([file["state"] for file in status["files"]] == ["done", "failed"] for status in statuses)
    assert np.percentile(latencies, 95) < 0.2, np.percentile(latencies, [50, 95, 100])
    assert peak < 400, f"{peak} MiB"  # the 200 MiB of the uploads were never held
