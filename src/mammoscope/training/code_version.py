"""The version of the running code, with the commit if it is known."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mammoscope import __version__

_SECONDS = 10


def code_version() -> str:
    """``"0.2.0"``, with the commit if the package was installed from a repository or runs from one.

    ``"0.2.0 (commit 1a2b3c4d5e6f)"``; ``", changed"`` is added where files of the checkout differ from the commit.
    """
    commit = _installed_commit() or _checkout_commit(Path(__file__).parents[1])
    return f"{__version__} (commit {commit})" if commit else __version__


def _installed_commit() -> str | None:
    """The commit that pip noted when it installed the package from a repository (PEP 610)."""
    try:
        noted = distribution("mammoscope").read_text("direct_url.json")
        commit = json.loads(noted or "{}").get("vcs_info", {}).get("commit_id")
    except (PackageNotFoundError, json.JSONDecodeError):
        return None
    return str(commit)[:12] if commit else None


def _checkout_commit(package: Path) -> str | None:
    """The commit of the repository that the package's files are tracked in; None where they are in none."""
    git = shutil.which("git")
    if git is None:
        return None

    def answer(*arguments: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603 (a fixed command, no shell)
                [git, "-C", str(package), *arguments], capture_output=True, text=True, timeout=_SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # An installed package may lie in an environment inside an unrelated repository, which does not track it.
    if not answer("ls-files", "__init__.py"):
        return None
    commit = answer("rev-parse", "--short=12", "HEAD")
    changed = answer("status", "--porcelain", "--untracked-files=no", ".")
    return f"{commit}, changed" if commit and changed else commit
