"""Who is let in, and what a browser is told."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

Idle = Callable[..., TestClient]

HEALTH = "/api/v1/health"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8000"}, 200),
        ({"host": "LOCALHOST:8000"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "reading.example.org"}, 200),
        ({"host": "127.0.0.1:8001"}, 421),
        ({"host": "127.0.0.1"}, 421),
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:8000"}, 421),
        ({"host": ""}, 421),
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({"origin": "http://localhost:8000"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:8000.evil.example"}, 403),
        ({"content-length": str(2 << 20)}, 413),
    ],
)
def test_host_and_origin(idle: Idle, headers: dict[str, str], status: int) -> None:
    answer = idle(allowed_hosts=("reading.example.org",)).get(HEALTH, headers=headers)
    assert answer.status_code == status
    assert status == 200 or isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize("path", [HEALTH, "/", "/nowhere", "/assets/../state.py", "/api/v1/analyses/x"])
def test_every_answer_tells_the_browser_to_be_strict(idle: Idle, path: str) -> None:
    headers = idle().get(path).headers
    policy = headers["content-security-policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "connect-src 'self'", "script-src 'self'"):
        assert part in policy
    assert "unsafe-inline" not in policy and "'unsafe-eval'" not in policy and "http" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert not path.startswith("/api") or headers["cache-control"] == "no-store"
    assert "server" not in headers


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("", False),
    ],
)
def test_the_page_is_sent_compressed_to_who_takes_that(idle: Idle, accepted: str, is_compressed: bool) -> None:
    client = idle()
    answer = client.get("/assets/index.css", headers={"Accept-Encoding": accepted})
    assert (answer.headers.get("content-encoding") == "gzip") == is_compressed
    assert answer.headers["vary"] == "Accept-Encoding" and answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text == client.get("/assets/index.css", headers={"Accept-Encoding": "identity"}).text


def test_the_page_has_an_icon_of_its_own(idle: Idle) -> None:
    client = idle()
    (address,) = re.findall(r'rel="icon"[^>]*href="([^"]+)"', client.get("/").text)
    icon = client.get(address)
    assert icon.status_code == 200 and icon.headers["content-type"].startswith("image/svg+xml")


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/openapi.json", "/assets/", "/assets/x.js", "/assets/..%2f..%2fapp.py", "/app.py"]
)
def test_nothing_else_is_served(idle: Idle, path: str) -> None:
    assert idle().get(path).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer s3cret"}, 200),
        ({"authorization": "bearer s3cret"}, 200),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer s3cr\u00e9t".encode("latin-1")}, 401),
        ({"authorization": "Basic s3cret"}, 401),
        ({"cookie": "mammoscope=s3cret"}, 401),
        ({"cookie": "mammoscope=\u00ff".encode("latin-1")}, 401),
        ({"cookie": ";;=;"}, 401),
    ],
)
@pytest.mark.parametrize("path", [HEALTH, "/", "/api/v1/openapi.json", "/assets/x.js"])
def test_the_token_is_needed_everywhere(idle: Idle, headers: dict[str, str | bytes], status: int, path: str) -> None:
    answer = idle(token="s3cret").get(path, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == status or (status == 200 and path in ("/", "/assets/x.js"))


def test_the_address_with_the_token_opens_the_page(idle: Idle) -> None:
    client = idle(token="s3cret")
    assert client.get("/", params={"token": "wrong"}, follow_redirects=False).status_code == 401
    answer = client.get("/", params={"token": "s3cret"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "s3cret" not in cookie
    assert client.get(HEALTH).status_code == 200


def test_a_fault_of_the_server_tells_nothing(
    idle: Idle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = idle()

    def fail() -> None:
        raise RuntimeError("Nobody^Patient")

    monkeypatch.setattr(client.app.state.mammoscope.store, "analyses", fail)  # type: ignore[attr-defined]
    with caplog.at_level(logging.DEBUG):
        answer = client.get("/api/v1/analyses")
    assert answer.status_code == 500 and "Nobody" not in answer.text + caplog.text
    assert "RuntimeError in" in caplog.text


def test_the_token_leaves_the_address_of_one_who_is_known(idle: Idle) -> None:
    client = idle(token="s3cret")
    for _ in range(2):
        answer = client.get("/", params={"token": "s3cret"}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert client.get("/", params={"token": "wrong"}, follow_redirects=False).status_code == 401
