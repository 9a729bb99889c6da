"""The audit trail: whoever changes it is found out, and no crash or crowd of processes breaks it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import typer

from mammoscope import NOTICE, __version__
from mammoscope.audit import AuditTrail, failure_of, verify_trail
from mammoscope.audit.chain import FIRST
from mammoscope.batch import Options, analyze_files
from mammoscope.bundle import Bundle, load_bundle
from mammoscope.cli.audit import verify_audit
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.findings import Analysis, InputFacts, Thresholds
from readers.dicom_files import mammogram, save

FIRST_FILE = "audit-000001.jsonl"


def analysis_of(bundle: Bundle, number: int = 0) -> Analysis:
    return Analysis(
        notice=NOTICE,
        software=f"mammoscope {__version__}",
        outcome="no_finding",
        statement="No finding.",
        input=InputFacts(
            name="Muster-Anna",
            sha256=sha256(str(number).encode()).hexdigest(),
            file_format="DICOM",
            rows=64,
            columns=64,
            bits=12,
            laterality=None,
            view=None,
            spacing=None,
            pixel_aspect=1.0,
            sop_instance_uid="1.2.3",
            modality="MG",
            manufacturer=None,
        ),
        bundle=bundle.identity,
        thresholds=Thresholds(detection=0.25, malignancy=0.5),
        findings=(),
        warnings=(),
        seconds={},
    )


def fill(folder: Path, bundle: Bundle, count: int, file_bytes: int = 1 << 20) -> AuditTrail:
    trail = AuditTrail(folder, "analyze", bundle, file_bytes=file_bytes)
    for number in range(count):
        trail.record(analysis_of(bundle, number))
    return trail


def lines(folder: Path, file: str = FIRST_FILE) -> list[bytes]:
    return (folder / file).read_bytes().splitlines()


def test_a_line_says_what_was_done_and_nothing_of_whom(bundle: Bundle, tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "new" / "trail", "serve", bundle, 0.1)
    trail.record(analysis_of(bundle))
    unreadable = tmp_path / "Muster^Anna.dcm"
    unreadable.write_bytes(b"no image")
    trail.record_failure(unreadable, failure_of(InputError(unreadable, "Muster^Anna is no image")))
    trail.record_failure(tmp_path / "gone", failure_of(MemoryError()))
    name, *entries = [json.loads(line) for line in lines(tmp_path / "new" / "trail")]
    assert set(name) == {"chain", "time", "previous", "hash"} and len(name["chain"]) == 32
    assert name["previous"] == FIRST
    common = {
        "source": "serve",
        "software": f"mammoscope {__version__}",
        "bundle": bundle.identity.model_dump(exclude={"kinds"}),
    }
    asked = {"detection": 0.1, "malignancy": bundle.manifest.thresholds.malignancy}
    expected = [
        (sha256(b"0").hexdigest(), {"detection": 0.25, "malignancy": 0.5}, "no_finding"),
        (sha256(b"no image").hexdigest(), asked, "refused"),
        (None, asked, "failed"),
    ]
    previous = name["hash"]
    for entry, (digest, thresholds, outcome) in zip(entries, expected, strict=True):
        assert entry.pop("time").endswith("Z") and entry.pop("previous") == previous
        previous = entry.pop("hash")
        assert entry == {**common, "input_sha256": digest, "thresholds": thresholds, "outcome": outcome}
    verified = verify_trail(tmp_path / "new" / "trail")
    assert (verified.chain, verified.entries, verified.head) == (name["chain"], 3, previous)
    assert verified.broken is None and not verified.torn


def test_a_full_file_is_followed_by_another_and_the_chain_continues(bundle: Bundle, tmp_path: Path) -> None:
    fill(tmp_path, bundle, 7, file_bytes=1500)
    files = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert files == [f"audit-00000{number}.jsonl" for number in range(1, len(files) + 1)] and len(files) > 2
    assert len({json.loads(lines(tmp_path, file)[0])["chain"] for file in files}) == 1
    verified = verify_trail(tmp_path)
    assert verified.entries == 7 and verified.broken is None


def _replace(number: int, old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    def act(content: list[bytes]) -> list[bytes]:
        assert old in content[number]
        return [*content[:number], content[number].replace(old, new), *content[number + 1 :]]

    return act


def _resealed(content: list[bytes]) -> list[bytes]:
    """As by somebody who knows how lines are sealed."""
    body = content[2].rpartition(b',"hash"')[0].replace(b"no_finding", b"refused")
    return [*content[:2], body + f',"hash":"{sha256(body).hexdigest()}"}}'.encode(), *content[3:]]


@pytest.mark.parametrize(
    ("harm", "broken"),
    [
        (_replace(2, b"no_finding", b"findings"), "line 3: was changed"),
        (_replace(4, b"no_finding", b"findings"), "line 5: was changed"),
        (_replace(0, b'"chain":"', b'"chain":"0'), "line 1: was changed"),
        (_replace(2, b'"}', b'"'), "line 3: is not a line of a trail"),
        (_resealed, "line 4: does not follow the line before"),
        (lambda content: content[:2] + content[3:], "line 3: does not follow the line before"),
        (lambda content: content[1:], "line 1: does not follow the line before"),
        (lambda content: [*content[:2], content[3], content[2], content[4]], "line 3: does not follow"),
        (lambda content: [*content, content[-1]], "line 6: does not follow the line before"),
        (lambda content: [*content[:3], b"", *content[3:]], "line 4: is not a line of a trail"),
        (lambda content: [*content[:3], b'{"outcome":"findings"}', *content[3:]], "line 4: is not a line of a trail"),
    ],
)
def test_the_first_broken_line_is_named(
    bundle: Bundle, tmp_path: Path, harm: Callable[[list[bytes]], list[bytes]], broken: str
) -> None:
    fill(tmp_path, bundle, 4)
    (tmp_path / FIRST_FILE).write_bytes(b"\n".join(harm(lines(tmp_path))) + b"\n")
    assert f"{FIRST_FILE}, {broken}" in str(verify_trail(tmp_path).broken)


@pytest.mark.parametrize(
    ("number", "broken"),
    [(1, "audit-000001.jsonl: is missing"), (2, "audit-000002.jsonl: is missing")],
)
def test_a_missing_file_is_named(bundle: Bundle, tmp_path: Path, number: int, broken: str) -> None:
    trail = fill(tmp_path, bundle, 7, file_bytes=1500)
    (tmp_path / f"audit-00000{number}.jsonl").unlink()
    trail.record(analysis_of(bundle))  # goes on, and hides nothing
    assert broken in str(verify_trail(tmp_path).broken)


def test_a_line_of_another_chain_does_not_fit(bundle: Bundle, tmp_path: Path) -> None:
    fill(tmp_path / "a", bundle, 1)
    fill(tmp_path / "b", bundle, 1)
    shutil.copy(tmp_path / "b" / FIRST_FILE, tmp_path / "a" / "audit-000002.jsonl")
    assert "audit-000002.jsonl, line 1: does not follow" in str(verify_trail(tmp_path / "a").broken)


def test_nothing_follows_a_last_line_that_was_changed(bundle: Bundle, tmp_path: Path) -> None:
    trail = fill(tmp_path, bundle, 2)
    (tmp_path / FIRST_FILE).write_bytes(b"\n".join(_replace(2, b"no_finding", b"findings")(lines(tmp_path))) + b"\n")
    with pytest.raises(MammoscopeError, match=r"audit-000001\.jsonl: line 3 was changed"):
        trail.record(analysis_of(bundle))


def test_only_a_noted_head_shows_that_the_end_was_taken_away(bundle: Bundle, tmp_path: Path) -> None:
    fill(tmp_path, bundle, 2)
    early = verify_trail(tmp_path).head
    fill(tmp_path, bundle, 2)
    late = verify_trail(tmp_path)
    assert late.entries == 4 and verify_trail(tmp_path, early).broken is None
    (tmp_path / FIRST_FILE).write_bytes(b"\n".join(lines(tmp_path)[:4]) + b"\n")
    assert verify_trail(tmp_path).broken is None and verify_trail(tmp_path, early).broken is None
    assert f"no line has the hash {late.head}" in str(verify_trail(tmp_path, late.head).broken)


@pytest.mark.parametrize("keep", [1, 60, -100, -2, -1])
@pytest.mark.parametrize(
    ("entries", "file_bytes", "line"),
    [(1, 1 << 20, 0), (3, 1 << 20, 3), (3, 900, 0)],
    ids=["first line", "last line", "first line of a new file"],
)
def test_a_line_that_a_crash_tore_is_noticed_and_the_chain_continues(
    bundle: Bundle, tmp_path: Path, entries: int, file_bytes: int, line: int, keep: int
) -> None:
    trail = fill(tmp_path, bundle, entries, file_bytes)
    last = sorted(tmp_path.glob("*.jsonl"))[-1]
    content = last.read_bytes().splitlines(keepends=True)
    last.write_bytes(b"".join(content[:line]) + content[line][:keep])
    is_whole = keep == -1  # only its end was missing
    before = verify_trail(tmp_path)
    assert (before.broken is None) == (is_whole or entries > 1) and len(before.torn) == (not is_whole)
    trail.record(analysis_of(bundle))
    after = verify_trail(tmp_path)
    assert after.broken is None and after.torn == before.torn and after.entries == before.entries + 1
    if not is_whole:  # and it cannot be taken out unseen
        file, _, number = after.torn[0].partition(", line ")
        left = [line for at, line in enumerate(lines(tmp_path, file), start=1) if at != int(number)]
        (tmp_path / file).write_bytes(b"\n".join(left) + b"\n" * bool(left))
        assert "records a line that was cut off, which is missing" in str(verify_trail(tmp_path).broken)


def test_two_crashes_in_a_row(bundle: Bundle, tmp_path: Path) -> None:
    trail = fill(tmp_path, bundle, 2)
    path = tmp_path / FIRST_FILE
    path.write_bytes(path.read_bytes()[:-50])
    trail.record(analysis_of(bundle))
    path.write_bytes(path.read_bytes()[:-70])
    trail.record(analysis_of(bundle))
    verified = verify_trail(tmp_path)
    assert verified.torn == (f"{FIRST_FILE}, line 3", f"{FIRST_FILE}, line 4")
    assert verified.broken is None and verified.entries == 2


_WRITER = """
import sys
from pathlib import Path
from threading import Thread
from mammoscope.audit import AuditTrail
from mammoscope.bundle import load_bundle
folder, count = Path(sys.argv[1]), int(sys.argv[2])
trail = AuditTrail(folder, "pacs", load_bundle(), file_bytes=4000)
print("ready", flush=True)
sys.stdin.readline()
def write():
    for _ in range(count):
        trail.record_failure(folder / "gone", "failed")
threads = [Thread(target=write) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_many_processes_and_threads_write_one_chain_and_one_that_is_killed_does_not_break_it(tmp_path: Path) -> None:
    def writer(count: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _WRITER, str(tmp_path), str(count)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    steady, doomed = [writer(20), writer(20)], writer(1_000_000)
    for process in (*steady, doomed):
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in (*steady, doomed):
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.wait(60) for process in steady] == [0, 0]
    doomed.send_signal(signal.SIGKILL)
    doomed.wait(60)
    AuditTrail(tmp_path, "pacs", load_bundle()).record_failure(tmp_path / "gone", "failed")
    verified = verify_trail(tmp_path)
    assert verified.broken is None and verified.entries > 81 and len(list(tmp_path.glob("*.jsonl"))) > 2


def test_an_analysis_that_cannot_be_noted_gives_no_result(bundle: Bundle, tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", mammogram())
    trail = AuditTrail(tmp_path / "trail", "analyze", bundle)
    (tmp_path / "trail" / FIRST_FILE).mkdir()
    (done,) = analyze_files([path], tmp_path / "out", bundle, Options(audit=trail))
    assert done.analysis is None and "the audit trail cannot be written" in str(done.error)
    assert not (tmp_path / "out" / "a.json").exists()
    (tmp_path / "trail" / FIRST_FILE).rmdir()
    (done,) = analyze_files([path], tmp_path / "out", bundle, Options(audit=trail))
    assert done.error is None and verify_trail(tmp_path / "trail").entries == 1


def test_a_folder_that_is_none_and_a_folder_without_a_trail(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MammoscopeError, match="cannot hold an audit trail"):
        AuditTrail(tmp_path / "file", "analyze", bundle)
    with pytest.raises(MammoscopeError, match="holds no audit trail"):
        verify_trail(tmp_path)
    with pytest.raises(MammoscopeError, match="cannot be read"):
        verify_trail(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "left", [b"", b"\n", b'{"chain":"12', b'{"cha\n{"time"\n'], ids=["empty", "line", "torn", "all torn"]
)
def test_a_trail_without_a_whole_line_is_broken(
    tmp_path: Path, left: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FIRST_FILE).write_bytes(left)
    assert verify_trail(tmp_path).broken == f"{FIRST_FILE}: has no line of a trail that is whole"
    with pytest.raises(typer.Exit) as ended:
        verify_audit(tmp_path)
    assert ended.value.exit_code == 1 and "broken: " in capsys.readouterr().err


def test_verify_ends_with_1_where_the_chain_is_broken(bundle: Bundle, tmp_path: Path) -> None:
    def verify() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mammoscope", "audit", "verify", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    fill(tmp_path, bundle, 3)
    good = verify()
    head = verify_trail(tmp_path).head
    assert good.returncode == 0 and "3 analyses" in good.stdout and f"head {head}" in good.stdout
    (tmp_path / FIRST_FILE).write_bytes(b"\n".join(_replace(2, b"no_finding", b"findings")(lines(tmp_path))))
    bad = verify()
    assert bad.returncode == 1 and bad.stderr == f"broken: {FIRST_FILE}, line 3: was changed\n"
    assert "1 analyses, up to the break" in bad.stdout
