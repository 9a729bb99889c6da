"""A bundle that is quick, and servers in processes of their own."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from server_process import Server

from mammoscope.bundle import Bundle, default_bundle_folder, load_bundle
from mammoscope.server import ServerSettings
from mammoscope.server.app import create_app

PORT = 8000
logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each question to a server says nothing


@pytest.fixture(scope="session")
def quick_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The models that ship, but no more than two candidates a view."""
    folder = tmp_path_factory.mktemp("bundles") / "quick"
    shutil.copytree(default_bundle_folder(), folder)
    manifest = json.loads((folder / "bundle.json").read_bytes())
    manifest["detector"]["max_regions"] = 2
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return load_bundle(folder)


@pytest.fixture(scope="session")
def server(quick_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An ephemeral server that many tests share."""
    with Server(tmp_path_factory.mktemp("server"), "--bundle", str(quick_bundle.folder)) as running:
        yield running


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Makes clients of applications that take everything on and analyse nothing: their worker is not started."""
    with ExitStack() as stack:

        def make(**settings: object) -> TestClient:
            chosen = ServerSettings(**{"data": tmp_path / "data", "port": PORT, **settings})  # type: ignore[arg-type]
            app = create_app(chosen)
            stack.callback(app.state.mammoscope.close)
            return TestClient(app, base_url=f"http://127.0.0.1:{PORT}")

        yield make
