"""Settings that are impossible or not safe are refused, with the reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mammoscope.errors import MammoscopeError
from mammoscope.server import ServerSettings, UploadLimits, serve


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"host": "0.0.0.0"}, "set a token"),
        ({"host": "192.168.1.5"}, "set a token"),
        ({"host": "reading.example.org"}, "set a token"),
        ({"host": "::"}, "set a token"),
        ({"token": ""}, "visible ASCII"),
        ({"token": "two words"}, "visible ASCII"),
        ({"port": 65536}, "range"),
        ({"queue": 0}, "1 or more"),
        ({"reserve": -1}, "0 or more"),
        ({"allowed_hosts": ("http://a",)}, "not a host name"),
        ({"allowed_hosts": ("a:99999",)}, "not a host name"),
        ({"allowed_hosts": ("*",)}, "not a host name"),
    ],
)
def test_what_is_not_safe_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(MammoscopeError, match=problem):
        ServerSettings(**settings)


@pytest.mark.parametrize("limits", [{"bytes": 0}, {"files": -1}, {"pixels": 0}])
def test_limits_are_positive(limits: dict[str, int]) -> None:
    with pytest.raises(MammoscopeError, match="1 or more"):
        UploadLimits(**limits)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_loopback_needs_no_token(host: str) -> None:
    assert ServerSettings(host=host).is_loopback


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"127.0.0.1:8000", "localhost:8000", "[::1]:8000"}),
        ({"port": 80}, {"127.0.0.1", "localhost:80"}),
        ({"host": "10.0.0.1", "token": "t"}, {"10.0.0.1:8000"}),
        ({"allowed_hosts": ("Reading.example.org",)}, {"reading.example.org", "reading.example.org:8000"}),
        ({"allowed_hosts": ("reading.example.org:9000",)}, {"reading.example.org:9000"}),
    ],
)
def test_the_names_that_a_client_may_use(settings: dict[str, Any], expected: set[str]) -> None:
    assert expected <= ServerSettings(**settings).host_headers()


def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MammoscopeError, match=f"127.0.0.1:{port} cannot be listened on"):
            serve(ServerSettings(port=port, data=tmp_path))


def test_the_server_is_light() -> None:
    """The package loads no web framework until it serves, and no part of it ever loads torch."""
    program = (
        "import sys, mammoscope.server; assert 'fastapi' not in sys.modules; "
        "import mammoscope.server.app, mammoscope.server.analysis_process; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
