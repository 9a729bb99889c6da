"""What CI installs is pinned to hashes, and the look-up of known vulnerabilities says what it knows."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK, AUDIT = ROOT / "requirements" / "ci.txt", ROOT / "requirements" / "audit.py"


def wanted() -> list[Requirement]:
    """What pyproject.toml and ci.in ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    more = re.sub(r"\s*#.*", "", (ROOT / "requirements" / "ci.in").read_text()).split("\n")
    lines = [
        *project["dependencies"],
        *extras["train"],
        *extras["archive"],
        *extras["ray"],
        *extras["dev"],
        *filter(None, more),
    ]
    return [Requirement(line) for line in lines if not line.startswith("mammoscope[")]


def test_the_lock_holds_what_is_asked_for_each_with_hashes() -> None:
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", LOCK.read_text(), flags=re.MULTILINE).strip())
    locked = {}
    for entry in entries:
        name, version = re.match(r"([\w.-]+)==([\w.!+]+)", entry).groups()  # type: ignore[union-attr]
        assert "--hash=sha256:" in entry, name
        locked[canonicalize_name(name)] = version
    stale = [str(one) for one in wanted() if not one.specifier.contains(locked.get(canonicalize_name(one.name), "0"))]
    assert not stale, "run make lock"


def test_the_lock_names_no_registry() -> None:
    assert not re.findall(r"\S*://\S*|--\w*-?index-url.*|--find-links.*", LOCK.read_text())


def test_without_a_network_the_audit_says_so_and_does_not_fail(tmp_path: Path) -> None:
    locked = tmp_path / "locked.txt"
    locked.write_text(f"pydicom==0.0.0 --hash=sha256:{'0' * 64}\n")
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")
    command = [sys.executable, str(AUDIT), str(locked)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **nowhere}, check=False)
    assert ended.returncode == 0 and ended.stdout.startswith("NOT AUDITED: no network"), ended.stdout


_FLAW = {"id": "PYSEC-1", "fix_versions": ["2"]}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([], 0, "NOT AUDITED: none of the 0"),
        ([{"name": "a", "skip_reason": "not found"}], 0, "NOT AUDITED: none of the 1"),
        ([{"name": "a", "version": "1", "vulns": []}], 0, "0 known vulnerabilities in 1 packages\n"),
        (
            [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}],
            0,
            "0 known vulnerabilities in 1 packages; 1 are not on the list",
        ),
        ([{"name": "a", "version": "1", "vulns": [_FLAW]}], 1, "a 1: PYSEC-1, fixed in 2\n1 known"),
    ],
)
def test_the_audit_fails_for_what_is_known_and_says_what_is_not(
    capsys: pytest.CaptureFixture[str], packages: list[dict[str, Any]], status: int, said: str
) -> None:
    report = runpy.run_path(str(AUDIT))["_report"]
    assert report(packages, LOCK) == status
    assert capsys.readouterr().out.startswith(said)
