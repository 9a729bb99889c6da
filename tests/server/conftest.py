"""A bundle that is quick, and servers in processes of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from server_process import Server

from mammoscope.bundle import Bundle
from mammoscope.server import ServerSettings
from mammoscope.server.app import create_app

PORT = 8000
logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each question to a server says nothing


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
