"""An Orthanc of the tests' own: on loopback, with its DICOMweb plugin, its files in a folder of the test."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import pydicom
from pydicom.uid import SecondaryCaptureImageStorage

PROGRAM = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
PLUGINS = [
    path
    for folder in ("/usr/share/orthanc/plugins", "/usr/lib/orthanc", "/usr/local/share/orthanc/plugins")
    for path in sorted(Path(folder).glob("libOrthancDicomWeb.so*"))
]
TITLE = "ORTHANC"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Orthanc:
    """Starts Orthanc; a context manager that ends it. ``end`` and ``start`` make an outage."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.dicom_port = free_port(), free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = {
            "Name": "tests",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [str(PLUGINS[0])],
            "HttpPort": self.port,
            "DicomPort": self.dicom_port,
            "DicomAet": TITLE,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "AuthenticationEnabled": False,
        }
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.start()

    def __enter__(self) -> Orthanc:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.end(signal.SIGKILL)

    @property
    def web(self) -> str:
        """Root of its DICOMweb services."""
        return f"http://127.0.0.1:{self.port}/dicom-web"

    @property
    def node(self) -> str:
        return f"{TITLE}@127.0.0.1:{self.dicom_port}"

    @property
    def log(self) -> str:
        return (self._folder / "log.txt").read_text()

    def start(self, **configuration: Any) -> None:
        """Start with these settings more."""
        settings = self._folder / "orthanc.json"
        settings.write_text(json.dumps({**self._configuration, **configuration}))
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen([str(PROGRAM), str(settings)], stdout=log, stderr=log)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            assert self._process.poll() is None, self.log
            try:
                if self.client.get("/system").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"does not answer\n{self.log}")

    def end(self, how: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def knows(self, title: str, port: int = 11112) -> None:
        """Let it answer this caller, and send to it."""
        self.client.put(f"/modalities/{title}", json=[title, "127.0.0.1", port]).raise_for_status()

    def add(self, content: bytes) -> None:
        self.client.post("/instances", content=content).raise_for_status()

    def tags(self, *names: str) -> list[tuple[str, ...]]:
        """These main DICOM tags of every instance that it has."""
        instances = self.client.get("/instances?expand").raise_for_status().json()
        found = []
        for instance in instances:
            tags = self.client.get(f"/instances/{instance['ID']}/simplified-tags").json()
            found.append(tuple(str(tags.get(name, "")) for name in names))
        return sorted(found)

    def files(self) -> list[bytes]:
        """Every instance that it has, as a file."""
        names = self.client.get("/instances").raise_for_status().json()
        return [self.client.get(f"/instances/{name}/file").content for name in names]


def sources(orthanc: Orthanc) -> list[tuple[str, str]]:
    """Modality of each result that it has, and the image that it is about."""
    found = []
    for content in orthanc.files():
        dataset = pydicom.dcmread(BytesIO(content))
        if dataset.Modality == "SR":
            (study,) = dataset.CurrentRequestedProcedureEvidenceSequence
            image = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        elif dataset.Modality == "SEG":
            image = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
        elif dataset.Modality == "PR":
            image = dataset.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
        elif dataset.SOPClassUID == SecondaryCaptureImageStorage:
            image = dataset.SourceImageSequence[0]
        else:
            continue
        found.append((dataset.Modality, str(image.ReferencedSOPInstanceUID)))
    return sorted(found)
