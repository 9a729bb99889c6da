"""One file for the settings of services and of ``analyze``; the command line goes before it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mammoscope.cli.app import app
from parsed_command import parsed

RECEIVE = """
[pacs.receive]
send-to = "PACS@10.0.0.5:104"
data = "queue"
allow = ["A@10.0.0.7", "*@10.0.1.0/24"]
keep = true
seg = false
threshold = 0.25
port = 104
pause = 3
"""


def config(folder: Path, text: str) -> str:
    path = folder / "mammoscope.toml"
    path.write_text(text)
    return str(path)


def test_a_file_sets_what_the_command_line_does_not(tmp_path: Path) -> None:
    file = config(tmp_path, RECEIVE)
    name, values = parsed(["--config", file, "pacs", "receive"])
    assert name == "pacs.receive" and values["send_to"] == "PACS@10.0.0.5:104"
    assert values["data"] == tmp_path / "queue" and values["allow"] == ["A@10.0.0.7", "*@10.0.1.0/24"]
    assert (values["keep"], values["seg"], values["threshold"], values["port"], values["pause"]) == (
        True,
        False,
        0.25,
        104,
        3.0,
    )
    assert (values["title"], values["attempts"], values["cad"]) == ("MAMMOSCOPE", 8, False)  # of the program


def test_the_example_of_the_documents_is_taken(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "pacs.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    name, values = parsed(["--config", config(tmp_path, text), "pacs", "receive"])
    assert name == "pacs.receive" and values["keep"] and len(values["allow"]) == 2


def test_the_command_line_goes_before_the_file(tmp_path: Path) -> None:
    more = ["--data", "other", "--no-keep", "--seg", "--port", "0", "--allow", "B@10.0.0.8", "--threshold", "0.5"]
    _, values = parsed(["--config", config(tmp_path, RECEIVE), "pacs", "receive", *more])
    assert values["data"] == Path("other") and values["allow"] == ["B@10.0.0.8"] and values["threshold"] == 0.5
    assert (values["keep"], values["seg"], values["port"]) == (False, True, 0)


@pytest.mark.parametrize(("said", "meant"), [("found", "{folder}/found"), ("s3://b/a.parquet", "s3://b/a.parquet")])
def test_results_go_beside_the_file_unless_it_names_an_object_store(said: str, meant: str, tmp_path: Path) -> None:
    file = config(tmp_path, f'[analyze]\nout = "{said}"\n')
    assert parsed(["--config", file, "analyze", "film.dcm"])[1]["out"] == meant.format(folder=tmp_path)


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = config(tmp_path, '[serve]\naudit = "of-the-file"\nallow-host = ["reading"]\ndata = "kept"\n')
    assert parsed(["--config", file, "serve"])[1]["audit"] == tmp_path / "of-the-file"
    monkeypatch.setenv("MAMMOSCOPE_AUDIT", "of-the-environment")
    values = parsed(["--config", file, "serve"])[1]
    assert values["audit"] == Path("of-the-environment") and values["data_folder"] == tmp_path / "kept"
    assert values["allow_host"] == ["reading"]


@pytest.mark.parametrize(
    ("command", "text", "expected"),
    [
        (["analyze", "film.dcm"], "[analyze]\nout = '/out'\nsr = true\n", {"out": "/out", "sr": True}),
        (["pacs", "watch"], "[pacs.watch]\nurl = 'http://h/'\ndata = 'd'\nsince = 2026-01-31\n", {"url": "http://h/"}),
        (["pacs", "watch", "http://o/"], "[pacs.watch]\nurl = 'http://h/'\ndata = 'd'\n", {"url": "http://o/"}),
        (["pacs", "push", "A@h:1", "x"], "[pacs.push]\ntitle = 'US'\ntls = true\n", {"title": "US", "tls": True}),
        (["pacs", "pull", "http://h", "1.2"], "[pacs.pull]\nout = '/o'\n", {"out": Path("/o")}),
        (["pacs", "status"], "[pacs.status]\ndata = '/d'\njson = true\n", {"data": Path("/d"), "as_json": True}),
        (["pacs", "probe"], "[pacs.probe]\ntarget = 'A@h:1'\nwithin = 5\n", {"target": "A@h:1", "within": 5.0}),
    ],
)
def test_every_command_has_a_table(command: list[str], text: str, expected: dict[str, Any], tmp_path: Path) -> None:
    _, values = parsed(["--config", config(tmp_path, text), *command])
    assert {name: values[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[pacs.watc]\n", "[pacs.watc] is no table of settings; there are [serve], [analyze], [pacs.watch]"),
        ("[train]\n", "[train] is no table of settings"),
        ("[pacs]\ndata = 'x'\n", "'pacs.data' is no table of settings"),
        ("port = 1\n", "'port' is no table of settings"),
        ("serve = 3\n", "'serve' is no table of settings"),
        ("pacs = 3\n", "'pacs' is no table of settings"),
        ("[serve]\nprot = 1\n", "[serve] prot is no setting; there are allow-host, audit, bundle, data"),
        ("[serve]\ndata_folder = 'x'\n", "[serve] data_folder is no setting"),
        ("[serve]\nhelp = true\n", "[serve] help is no setting"),
        ("[analyze]\npaths = ['x']\n", "[analyze] paths is no setting"),
        ("[serve.port]\nx = 1\n", "[serve] port is {'x': 1}, expected a whole number"),
        ("[serve]\nport = '8000'\n", "[serve] port is '8000', expected a whole number"),
        ("[serve]\nport = true\n", "[serve] port is True, expected a whole number"),
        ("[serve]\nport = 70000\n", "[serve] port is 70000: "),
        ("[serve]\nephemeral = 1\n", "[serve] ephemeral is 1, expected true or false"),
        ("[serve]\ndata = ''\n", "[serve] data is '', expected a path in quotes"),
        ("[serve]\nallow-host = 'x'\n", "[serve] allow-host is 'x', expected a list of a text in quotes"),
        ("[serve]\nallow-host = [1]\n", "[serve] allow-host is 1, expected a text in quotes"),
        ("[pacs.watch]\nevery = nan\n", "[pacs.watch] every is nan, expected a number"),
        ("[pacs.watch]\nevery = 0\n", "[pacs.watch] every is 0: "),
        ("[pacs.watch]\nsince = 'spring'\n", "[pacs.watch] since is 'spring': "),
        (
            "[serve]\ntoken = 'SECRET'\n",
            "[serve] token is a secret, which is kept out of this file: set MAMMOSCOPE_TOKEN",
        ),
        ("[pacs.watch]\npassword = 'SECRET'\n", "set MAMMOSCOPE_PACS_PASSWORD in the environment"),
        ("[pacs.receive]\ntoken = 'SECRET'\n", "set MAMMOSCOPE_PACS_TOKEN in the environment"),
        ("[serve\n", "is not TOML"),
        ("[serve]\nport = 1\nport = 2\n", "is not TOML"),
    ],
)
def test_what_is_no_setting_is_refused_by_name(text: str, problem: str, tmp_path: Path) -> None:
    file = config(tmp_path, text)
    outcome = CliRunner().invoke(app, ["--config", file, "pacs", "status", "--data", "/nowhere"])
    assert outcome.exit_code != 0 and re.match(f"{re.escape(file)}: .*{re.escape(problem)}", str(outcome.exception))
    assert "SECRET" not in str(outcome.exception)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["--config", str(tmp_path / "none.toml"), "serve"])
    assert "none.toml: cannot be read (No such file" in str(outcome.exception)
