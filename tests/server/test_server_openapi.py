"""The API keeps what its description promises, whatever it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import load_all_checks

from mammoscope.kinds import KINDS
from mammoscope.server.app import create_app
from mammoscope.server.openapi import openapi_text
from mammoscope.server.settings import ServerSettings

load_all_checks()

PUBLISHED = Path(__file__).parents[2] / "web" / "openapi.json"

OPERATIONS = [
    ("GET", "/health"),
    ("GET", "/analyses"),
    ("POST", "/analyses"),
    ("POST", "/analyses/example"),
    ("GET", "/analyses/{analysis}"),
    ("DELETE", "/analyses/{analysis}"),
    ("GET", "/analyses/{analysis}/result"),
    ("GET", "/analyses/{analysis}/files/{number}/result"),
    ("GET", "/analyses/{analysis}/files/{number}/original"),
    ("GET", "/analyses/{analysis}/files/{number}/preprocessed"),
    ("GET", "/analyses/{analysis}/files/{number}/overlay"),
    ("POST", "/analyses/{analysis}/report"),
    ("POST", "/analyses/{analysis}/dicom"),
    ("GET", "/analyses/{analysis}/reading"),
    ("PUT", "/analyses/{analysis}/reading"),
]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The description of an application whose worker is not started."""
    data = tmp_path_factory.mktemp("openapi")
    app = create_app(ServerSettings(data=data, queue=100_000, allowed_hosts=("testserver",)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.state.mammoscope.analysis_thread, "start", lambda: None)
        patch.setattr(app.state.mammoscope, "close", lambda: None)  # loading ends the application's life
        yield schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    app.state.mammoscope.close()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_described(described: Any, method: str, path: str) -> None:
    @given(case=described[f"/api/v1{path}"][method].as_strategy())
    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def check(case: Any) -> None:
        case.call_and_validate()

    check()


def test_every_path_is_described_with_examples(idle: Callable[..., TestClient]) -> None:
    description = idle().get("/api/v1/openapi.json").json()
    described = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in description["paths"].items()
        for method in methods
    }
    assert described == set(OPERATIONS)
    schemas = description["components"]["schemas"]
    for name in ("AnalysisStatus", "Created", "Health", "Problem", "Record"):
        assert "example" in schemas[name], name


def test_the_page_is_told_every_kind_of_finding(idle: Callable[..., TestClient]) -> None:
    told = idle().get("/api/v1/health").json()["kinds"]
    assert [(kind["name"], kind["word"], kind["plural"]) for kind in told] == [
        (kind.name, kind.word, kind.plural) for kind in KINDS
    ]
    assert [kind["name"] for kind in told if kind["sought"]] == ["mass"]
    assert [kind["name"] for kind in told if kind["outlined"]] == ["mass", "asymmetry"]
    (asymmetry,) = [kind for kind in told if kind["name"] == "asymmetry"]
    assert (asymmetry["indefinite"], asymmetry["longest"]) == ("an asymmetry", "extent")


def test_every_error_is_described_as_it_is_sent(idle: Callable[..., TestClient]) -> None:
    client = idle()
    sent = client.post("/api/v1/analyses/0/report", content="{", headers={"Content-Type": "application/json"})
    assert sent.status_code == 422 and isinstance(sent.json()["detail"], str)
    problem = {"$ref": "#/components/schemas/Problem"}
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            errors = {status: answer for status, answer in operation["responses"].items() if int(status) >= 400}
            assert errors, (method, path)
            for status, answer in errors.items():
                assert answer["content"]["application/json"]["schema"] == problem, (method, path, status)


def test_the_page_is_typed_by_what_the_server_describes(idle: Callable[..., TestClient]) -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == openapi_text(), "web/openapi.json is stale: run make api"
    assert json.loads(openapi_text()) == idle().get("/api/v1/openapi.json").json()
