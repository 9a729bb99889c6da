"""What Prometheus scrapes of ``serve``, and what the server has seen to work when it says that it is ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from server_process import Server

from readers.dicom_files import mammogram, save

Idle = Callable[..., TestClient]


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Every sample by name and the values of its labels."""
    families = text_string_to_metric_families(text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_a_server_is_scraped_and_is_ready_once_its_models_have_answered(server: Server, tmp_path: Path) -> None:
    root = str(server.client.base_url).removesuffix("api/v1/")
    before = samples(server.client.get(f"{root}metrics").text)
    uploads = [("a.dcm", save(tmp_path / "a.dcm", mammogram()).read_bytes()), ("b.dcm", b"no image")]
    for upload in uploads:
        server.wait(server.upload([upload]))
    ready = server.client.get(f"{root}ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert ready.json()["links"] == dict.fromkeys(("analysis", "store", "disk"), "ok")
    answer = server.client.get(f"{root}metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    after = samples(answer.text)
    assert after["mammoscope_analysis_seconds_count",] == before["mammoscope_analysis_seconds_count",] + 1
    assert after["mammoscope_files_failed_total",] == before["mammoscope_files_failed_total",] + 1
    assert after["mammoscope_files", "done"] >= 1 and after["mammoscope_oldest_waiting_seconds",] == 0
    assert after["mammoscope_http_answers_total", "2xx"] > before.get(("mammoscope_http_answers_total", "2xx"), 0)
    assert "a.dcm" not in answer.text and "Secret" not in answer.text


@pytest.mark.parametrize("path", ["/metrics", "/ready"])
def test_only_who_may_ask_is_told(idle: Idle, path: str) -> None:
    client = idle(token="secret")
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"host": "evil.example"}).status_code == 421


def test_models_that_do_not_answer_are_not_ready(idle: Idle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mammoscope.server.metrics._ANSWER_SECONDS", 0.1)
    answer = idle().get("/ready")
    assert answer.status_code == 503
    assert answer.json()["links"]["analysis"] == "the analysis process does not answer"
