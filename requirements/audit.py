"""Look the locked packages up in PyPI's list of known vulnerabilities, by pip-audit.

Exits with 1 if there is one. If the list cannot be reached, it says that nothing is known, and exits with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_NO_NETWORK = ("requests.exceptions.", "ConnectionError", "ConnectTimeout", "ServiceError")


def main() -> int:
    """Audit the file that is named, or what CI installs."""
    locked = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("ci.txt")
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(locked), "--disable-pip", "--require-hashes"]
    # One question a package, and no installing.
    ended = subprocess.run(  # noqa: S603
        [*command, "--format", "json", "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = ended.stderr.strip().rpartition("\n")[2]
        if any(word in ended.stderr for word in _NO_NETWORK):
            return _say(f"NOT AUDITED: no network, so nothing is known of {locked.name} ({last[:120]})")
        return _say(ended.stderr, failed=True)
    return _report(packages, locked)


def _report(packages: list[dict[str, Any]], locked: Path) -> int:
    asked = [package for package in packages if "skip_reason" not in package]
    found = [(package, flaw) for package in asked for flaw in package["vulns"]]
    for package, flaw in found:
        fixed = ", ".join(flaw["fix_versions"]) or "none yet"
        _say(f"{package['name']} {package['version']}: {flaw['id']}, fixed in {fixed}")
    if not asked:
        return _say(
            f"NOT AUDITED: none of the {len(packages)} packages of {locked.name} is on the list; was it reached?"
        )
    skipped = len(packages) - len(asked)
    unknown = f"; {skipped} are not on the list, so nothing is known of them" if skipped else ""
    return _say(f"{len(found)} known vulnerabilities in {len(asked)} packages{unknown}", failed=bool(found))


def _say(text: str, *, failed: bool = False) -> int:
    sys.stdout.write(text.rstrip() + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
