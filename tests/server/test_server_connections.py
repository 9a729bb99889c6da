"""Connections that send nothing, or too slowly, lock nobody out of the server and fill no log."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from server_process import Server

from mammoscope.bundle import Bundle
from mammoscope.server import connection
from mammoscope.server.ephemeral import EphemeralFolder


@pytest.mark.load
@pytest.mark.skipif(sys.platform == "win32", reason="limits on open files")
def test_slow_connections_lock_nobody_out(quick_bundle: Bundle, tmp_path: Path) -> None:
    with Server(tmp_path, "--bundle", str(quick_bundle.folder)) as server:
        address = (server.client.base_url.host, server.client.base_url.port or 0)
        slow = []
        for _ in range(connection.most_connections() + 200):
            slow.append(socket.create_connection(address))
            slow[-1].sendall(b"GET / HTTP/1.1\r\nHost: ")  # and no more
        assert server.client.get("/health").status_code == 200
        end = time.monotonic() + connection.HEAD_SECONDS + 20
        slow[-1].settimeout(end - time.monotonic())
        begun = time.monotonic()
        with suppress(ConnectionError):
            assert slow[-1].recv(100) == b""
        assert time.monotonic() - begun < connection.HEAD_SECONDS + 15
        assert server.client.get("/health").status_code == 200
        assert len(server.log) < 10_000
        for one in slow:
            one.close()


def test_what_a_killed_server_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    running, killed = EphemeralFolder(), EphemeralFolder()
    for folder in (running, killed):
        (folder.path / "upload").write_bytes(b"a mammogram")
    killed._lock.close()  # as the system does when all its processes are killed
    (tmp_path / "mammoscope-of-another-program").mkdir()
    (tmp_path / "mammoscope-link").symlink_to(running.path)
    new = EphemeralFolder()
    assert not killed.path.exists() and (running.path / "upload").exists()
    assert len(list(tmp_path.iterdir())) == 4
    running.remove()
    new.remove()
    assert len(list(tmp_path.iterdir())) == 2 and os.path.lexists(tmp_path / "mammoscope-link")
