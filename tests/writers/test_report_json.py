"""The JSON of an analysis, and its published schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from made_analyses import analysis, finding, mammogram

from mammoscope import NOTICE
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.findings import Analysis, Size
from mammoscope.writers.json import analysis_schema, read_analysis, schema_text, write_analysis

UNKNOWN_SIZE = Size(area_mm2=None, longest_diameter_mm=None, unknown_because="The file has no pixel spacing.")

ANALYSES = {
    "no breast": analysis(mammogram(), outcome="no_breast_found"),
    "no finding": analysis(mammogram()),
    "nothing known of the input": analysis(mammogram(laterality=None, view=None, spacing=None)),
    "two findings": analysis(mammogram(), finding((600, 500, 700, 620)), finding((500, 300, 560, 380), 0.2)),
    "no outline and no size": analysis(mammogram(), finding((0, 0, 10, 10), outline=(), size=UNKNOWN_SIZE)),
    "warnings": analysis(mammogram(warnings=("Größe unbekannt.", "A second one."))),
}


@pytest.mark.parametrize("made", ANALYSES.values(), ids=ANALYSES.keys())
def test_what_is_written_is_read_back_and_keeps_to_the_schema(made: Analysis, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    write_analysis(made, path)
    assert read_analysis(path) == made
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert '\n  "notice"' in text
    assert NOTICE in text
    jsonschema.validate(json.loads(text), analysis_schema(), cls=jsonschema.Draft202012Validator)


def test_the_published_schema_is_that_of_the_code() -> None:
    published = (files("mammoscope") / "schemas" / "analysis.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), (
        "stale: run python -m mammoscope.writers.json > src/mammoscope/schemas/analysis.schema.json"
    )


def test_the_schema_is_sound_and_names_no_host() -> None:
    schema = analysis_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "urn:mammoscope:analysis:1.3"
    assert schema["title"]
    assert set(schema["required"]) == set(schema["properties"])


def _misses(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.pop(key)


def _set(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update({key: value})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_misses("notice"), None),
        (_misses("bundle"), "bundle"),
        (_set("schema_version", "2.0"), "schema_version"),
        (_set("outcome", "malignant"), "outcome"),
        (_set("PatientName", "Doe^Jane"), "PatientName"),
        (lambda document: document["findings"][0].update(detection_score=1.01), "findings.0.detection_score"),
        (lambda document: document["findings"][0].update(outline=[[1.0]]), "findings.0.outline.0"),
    ],
)
def test_what_breaks_the_schema_is_refused_with_the_field_named(
    change: Callable[[dict[str, Any]], None], named: str | None, tmp_path: Path
) -> None:
    document = json.loads(ANALYSES["two findings"].model_dump_json())
    change(document)
    assert list(jsonschema.Draft202012Validator(analysis_schema()).iter_errors(document))
    if named is not None:
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(document))
        with pytest.raises(InputError, match=named) as raised:
            read_analysis(path)
        assert "changed.json" in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_what_is_not_an_analysis_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"odd\.json: is not an analysis"):
        read_analysis(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json: cannot be read"):
        read_analysis(tmp_path / "absent.json")


def test_a_failed_write_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken.json").mkdir()
    with pytest.raises(MammoscopeError, match=r"taken\.json: cannot be written"):
        write_analysis(ANALYSES["no finding"], tmp_path / "taken.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(MammoscopeError, match=r"file/one\.json: cannot be written"):
        write_analysis(ANALYSES["no finding"], tmp_path / "file" / "one.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken.json"]


def test_writing_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text("old")
    write_analysis(ANALYSES["no finding"], path)
    assert read_analysis(path).outcome == "no_finding"
    assert list(tmp_path.iterdir()) == [path]
