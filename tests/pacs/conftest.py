"""Foreign systems: an Orthanc, dcmtk's tools; and a receiver that analyses nothing."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest
from orthanc import PLUGINS, PROGRAM, Orthanc
from pacs_process import PacsProcess
from pynetdicom import _config
from tls_files import TlsFiles, make_tls_files

from mammoscope.bundle import Bundle
from mammoscope.pacs.commitment import Commitments
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.receiver import Receiver
from mammoscope.pacs.settings import Listening

_config.LOG_HANDLER_LEVEL = "none"
logging.getLogger("httpx").setLevel(logging.WARNING)
NEEDS_ORTHANC = "needs Orthanc and its DICOMweb plugin (Debian: orthanc, orthanc-dicomweb)"
NEEDS_DCMTK = "needs storescu, echoscu and findscu (Debian: dcmtk)"


@pytest.fixture(scope="session")
def bundle(quick_bundle: Bundle) -> Bundle:
    """In place of the bundle that ships: here it does not matter what is found."""
    return quick_bundle


@pytest.fixture(scope="session", autouse=True)
def _quick_processes(quick_bundle: Bundle) -> None:
    PacsProcess.models = quick_bundle.folder


@pytest.fixture(autouse=True)
def _own_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # a command sets its own


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """An empty Orthanc."""
    if PROGRAM is None or not PLUGINS:
        pytest.skip(NEEDS_ORTHANC)
    with Orthanc(tmp_path / "orthanc") as running:
        yield running


@pytest.fixture
def dcmtk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test needs dcmtk, not pynetdicom's commands of the same names, which an activated environment puts first."""
    ours = Path(sys.executable).parent
    path = os.pathsep.join(folder for folder in os.get_exec_path() if Path(folder) != ours)
    if not all(shutil.which(name, path=path) for name in ("storescu", "echoscu", "findscu")):
        pytest.skip(NEEDS_DCMTK)
    monkeypatch.setenv("PATH", path)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """A certificate for 127.0.0.1, and who signed it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    return make_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[Callable[..., tuple[Receiver, ImageQueue]]]:
    """Makes receivers that listen and queue, and whose images nobody analyses."""
    with ExitStack() as stack:

        def make(
            listening: Listening | None = None,
            *,
            commit: Callable[[ImageQueue], Commitments] | None = None,
            reserve: int = 0,
            hold: float = 0.0,
        ) -> tuple[Receiver, ImageQueue]:
            queue = ImageQueue(tmp_path / "data", working=True, keep=commit is not None, reserve=reserve)
            stack.callback(queue.close)
            receiver = Receiver(listening or Listening(port=0), queue, hold, None if commit is None else commit(queue))
            Thread(target=receiver.serve, daemon=True).start()
            stack.callback(receiver.stop)
            return receiver, queue

        yield make
