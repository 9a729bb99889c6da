"""What ``deploy/`` holds is what the program takes: units, compose file, and the settings that both use."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mammoscope.pacs.settings import Address, Node
from mammoscope.peers.web_server import WebServer
from parsed_command import parsed

DEPLOY = Path(__file__).parents[1] / "deploy"
CONFIG = "/etc/mammoscope/mammoscope.toml"
UNITS = sorted(DEPLOY.glob("*.service"))
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ReadWritePaths": "/var/lib/mammoscope",
    "User": "mammoscope",
    "Restart": "on-failure",
    "CapabilityBoundingSet": "",
}


def values_of(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """As ``parsed``, with the file of settings of this folder."""
    return parsed([str(DEPLOY / "mammoscope.toml") if one == CONFIG else one for one in arguments])


def unit(path: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, strict=True)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(path.read_text())
    return found


def compose() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_starts_a_command_that_there_is(path: Path) -> None:
    service = unit(path)["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    name, values = values_of(arguments)
    assert Path(program).name == "mammoscope" and name.rpartition(".")[2] == path.stem.partition("-")[2]
    for written in ("data", "data_folder", "audit"):
        assert str(values.get(written) or service["ReadWritePaths"]).startswith(service["ReadWritePaths"])
    assert {key: service[key] for key in HARDENED} == HARDENED


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    for path in UNITS:
        text = path.read_text().replace("/opt/mammoscope/bin/mammoscope", sys.executable)
        (tmp_path / path.name).write_text(text.replace("User=mammoscope\n", ""))  # it is made by the sysusers file
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / path.name) for path in UNITS)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in ended.stderr.splitlines() if "mammoscope" in line]
    assert not ours and ended.returncode == 0, ended.stderr


def test_every_service_of_the_compose_file_starts_a_command_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMOSCOPE_TOKEN", "a-token")
    services = compose()["services"]
    ours = {name: one for name, one in services.items() if one.get("image") == "mammoscope"}
    assert set(ours) == {"serve", "watch", "receive"}
    for name, one in ours.items():
        command, values = values_of(one["command"])
        assert command.rpartition(".")[2] == name and one["read_only"] and one["cap_drop"] == ["ALL"]
        kept = Path(values.get("data") or values["data_folder"])
        assert any(volume.split(":")[1] == str(kept.parent) for volume in one["volumes"])
        if name == "serve":
            assert values["host"] == "0.0.0.0" and values["token"] == "a-token"
            assert one["ports"] == [f"127.0.0.1:{values['port']}:{values['port']}"]
        else:
            assert one["network_mode"] == "service:orthanc"
            assert f"http://{values['monitor']}/ready" in one["healthcheck"]["test"][-1]
            Address.parse(values["monitor"])


def test_the_settings_fit_the_orthanc_of_the_compose_file() -> None:
    orthanc = json.loads((DEPLOY / "orthanc.json").read_text())
    _, watch = values_of(["--config", CONFIG, "pacs", "watch"])
    _, receive = values_of(["--config", CONFIG, "pacs", "receive"])
    assert WebServer(watch["url"]).url == f"http://127.0.0.1:{orthanc['HttpPort']}/dicom-web"
    assert Node.parse(receive["send_to"]) == Node(orthanc["DicomAet"], "127.0.0.1", orthanc["DicomPort"])
    assert orthanc["DicomModalities"]["mammoscope"] == [receive["title"], "127.0.0.1", receive["port"]]
    assert values_of(["--config", CONFIG, "pacs", "status"])[1]["data"] == watch["data"]


def test_the_image_is_built_without_a_network() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    (install,) = re.findall(r"^RUN .*", text, flags=re.MULTILINE)
    assert "--no-index --find-links /wheels mammoscope" in install
    assert compose()["x-mammoscope"]["build"]["network"] == "none"
