"""The model bundle: a folder with ``bundle.json`` and its files, each checked against its SHA-256 before use."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mammoscope import __version__
from mammoscope.errors import BundleError
from mammoscope.files import file_sha256, is_special
from mammoscope.findings import BundleIdentity
from mammoscope.kinds import DEFAULT_KIND, KINDS
from mammoscope.stages.manifests import AVERAGE_MASK, BundleManifest, StepManifest
from mammoscope.stages.manifests_schema1 import ManifestOfSchema1
from mammoscope.stages.openvino import fast_runtime
from mammoscope.stages.preprocess import ContrastSettings
from mammoscope.stages.step import GROUP, OPEN_FAST, Step, StepImplementation, implementation_named

MANIFEST = "bundle.json"
_LARGEST_NUMBER = 1e9  # of what has a fraction; counts and seeds are whole


@dataclass(frozen=True)
class BundledStep:
    """A step of a bundle, loaded at first use.

    Attributes
    ----------
    folder
        The bundle's.
    manifest
        Its part of the bundle's manifest.
    fast
        Whether it is opened by the implementation's ``open_fast``, where that has one.
    """

    folder: Path
    manifest: StepManifest
    fast: bool = False

    @property
    def _place(self) -> str:
        """Where the step stands, for an error."""
        return f"{self.folder / MANIFEST}: step {self.manifest.name!r}"

    @cached_property
    def implementation(self) -> type[StepImplementation]:
        """The implementation of that name.

        Raises
        ------
        BundleError
            There is none of that name, or it cannot be imported.
        """
        try:
            found = implementation_named(self.manifest.implementation)
        except BundleError as error:
            raise BundleError(f"{self._place}: {error}") from error
        if found is None:
            raise BundleError(
                f"{self._place}: no built-in implementation and no entry point "
                f"of {GROUP} is named {self.manifest.implementation!r}"
            )
        return found

    @cached_property
    def settings(self) -> BaseModel:
        """The settings, checked by the implementation.

        Raises
        ------
        BundleError
            They do not fit the implementation; names the setting.
        """
        try:
            return self.implementation.Settings.model_validate(self.manifest.settings)
        except ValidationError as error:
            raise BundleError(f"{self._place}: settings.{_first_problem(error)}") from None

    @cached_property
    def step(self) -> Step:
        """The step itself.

        Raises
        ------
        BundleError
            It cannot be loaded from its files.
        """
        paths = {label: self.folder / entry.file for label, entry in self.manifest.files.items()}
        try:
            opened = self.implementation.open
            if self.fast:
                opened = getattr(self.implementation, OPEN_FAST, opened)
            return opened(_StepFiles(paths), self.settings)
        except _NoFileError as error:
            needed = f"which {self.manifest.implementation!r} needs"
            raise BundleError(f"{self._place}: has no file labelled {error}, {needed}") from None
        except Exception as error:
            raise BundleError(f"{self._place}: cannot be loaded ({type(error).__name__}: {error})") from error


class _NoFileError(KeyError):
    """A step was asked for a file that it does not have."""


class _StepFiles(dict[str, Path]):
    """A step's files by label."""

    def __missing__(self, label: str) -> Path:
        raise _NoFileError(label)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes
    ----------
    folder, manifest
        Where it is, and what it says.
    sha256
        The hash of its manifest, which holds the hash of every file.
    fast
        Whether the networks that can be are run by ``fast_runtime``: scores differ a little.
    """

    folder: Path
    manifest: BundleManifest
    sha256: str
    fast: bool = False

    @property
    def code_version(self) -> str:
        """Of this program, and of what runs networks fast."""
        is_fast = self.fast and any(hasattr(step.implementation, OPEN_FAST) for step in self.steps)
        return f"{__version__} ({fast_runtime()})" if is_fast else __version__

    @property
    def identity(self) -> BundleIdentity:
        """Name, version, hash and kinds, as every analysis carries them."""
        kinds = tuple(kind.name for kind in KINDS if kind.name in self.kinds)
        return BundleIdentity(name=self.manifest.name, version=self.manifest.version, sha256=self.sha256, kinds=kinds)

    @cached_property
    def finding(self) -> tuple[BundledStep, ...]:
        """The steps before the selection: they find candidates and score them."""
        return tuple(BundledStep(self.folder, step, self.fast) for step in self.manifest.finding)

    @cached_property
    def grading(self) -> tuple[BundledStep, ...]:
        """The steps after the selection: they outline and classify."""
        return tuple(BundledStep(self.folder, step, self.fast) for step in self.manifest.grading)

    @property
    def steps(self) -> tuple[BundledStep, ...]:
        """All of both, in the order in which they run."""
        return (*self.finding, *self.grading)

    @cached_property
    def sees_exams(self) -> bool:
        """Whether a step looks at whole exams, so that an image's findings depend on the exam's other images."""
        return any(step.implementation.scope == "exam" for step in self.steps)

    def of_roles(self, *roles: str) -> tuple[BundledStep, ...]:
        """The steps of some roles, in the order in which they run."""
        return tuple(step for step in self.steps if step.manifest.role in roles)

    def load(self) -> None:
        """Load every step now instead of at first use."""
        for step in self.steps:
            _ = step.step

    @property
    def shown_contrast(self) -> ContrastSettings:
        """The contrast settings of the network that sees the whole breast; contrast as in the file if it has none."""
        for step in self.finding:
            contrast = getattr(step.settings, "contrast", None)
            if isinstance(contrast, ContrastSettings):
                return contrast
        return ContrastSettings(clip_limit=0)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of findings that its finding steps look for: those named in their settings, else masses."""
        named: set[str] = set()
        for step in self.finding:
            default = (DEFAULT_KIND,) if step.manifest.role in ("detect", "joint") else ()
            named.update(getattr(step.settings, "kinds", default))
        return frozenset(named) or frozenset({DEFAULT_KIND})

    def kinds_of(self, role: str) -> frozenset[str]:
        """Those of its ``kinds`` that its steps of a role are for, by their settings; all where they name none."""
        named: set[str] = set()
        for step in self.of_roles(role, "joint"):
            default = (DEFAULT_KIND,) if step.manifest.role == "joint" else tuple(self.kinds)
            named.update(getattr(step.settings, "of_kinds", default))
        return self.kinds & named if named else self.kinds

    @property
    def floor(self) -> float:
        """Detection score below which the bundle gives no candidate."""
        floors = [getattr(step.settings, "floor", 0.0) for step in self.of_roles("detect", "joint")]
        return float(min(floors, default=0.0))

    def graded_from(self, threshold: float) -> float:
        """Detection score from which candidates are graded, so that findings from ``threshold`` are right.

        Lower than the threshold where a step looks at the exam's other findings too: what it says of one must not
        depend on which of the others are shown.
        """
        least = [getattr(step.settings, "least_detection", None) for step in self.grading]
        return float(min([threshold, *(score for score in least if score is not None)]))

    @cached_property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """What its steps say of a finding besides its malignancy, by name, and the words that they choose from."""
        named: dict[str, tuple[str, ...]] = {}
        for step in self.steps:
            named |= getattr(step.settings, "attributes", {})
        return named

    @property
    def average_mask(self) -> Path | None:
        """The mean training mask, which figures are compared with; None if the bundle has none."""
        for step in self.steps:
            if AVERAGE_MASK in step.manifest.files:
                return self.folder / step.manifest.files[AVERAGE_MASK].file
        return None


def default_bundle_folder() -> Path:
    """Folder of the built-in bundle."""
    return Path(str(files("mammoscope") / "bundles" / "default"))


def load_bundle(folder: Path | str | None = None, *, manifest: Path | str | None = None, fast: bool = False) -> Bundle:
    """Read a bundle, check every file against its hash and every step's settings. Nothing is unpickled.

    Parameters
    ----------
    folder
        The bundle's folder; None takes the built-in one.
    manifest
        Another manifest over the files of this folder, such as that of an earlier version; None takes the folder's own.
    fast
        See ``Bundle``.

    Raises
    ------
    BundleError
        A file is missing or altered, a step is not installed or its settings do not fit it, or the manifest has an
        unknown version; names the file and the problem. Or ``fast`` is asked for where nothing can be.
    """
    if fast and fast_runtime() is None:
        raise BundleError(
            "networks cannot be run fast here: that needs OpenVINO (the extra 'fast') and a processor with bfloat16"
        )
    folder = default_bundle_folder() if folder is None else Path(folder)
    path = folder / MANIFEST if manifest is None else Path(manifest)
    _refuse_special(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    read = _manifest_of(raw, path)
    for step in read.steps:
        for entry in step.files.values():
            _check_file(folder / entry.file, entry.sha256)
    bundle = Bundle(folder, read, hashlib.sha256(raw).hexdigest(), fast)
    for bundled in bundle.steps:
        _ = bundled.settings
    return bundle


def _manifest_of(raw: bytes, path: Path) -> BundleManifest:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: is not JSON ({error})") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version not in ("1", "2"):
        raise BundleError(f"{path}: schema_version is {version!r}, expected '1' or '2'")
    _refuse_impossible_numbers(content, path)
    try:
        if version == "1":
            return ManifestOfSchema1.model_validate_json(raw).as_steps()
        return BundleManifest.model_validate_json(raw)
    except ValidationError as error:
        raise BundleError(f"{path}: {_first_problem(error)}") from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "manifest"
    return f"{place}: {first['msg']}"


def _refuse_special(path: Path) -> None:
    if is_special(path):
        raise BundleError(f"{path}: is not a regular file")


def _refuse_impossible_numbers(content: Any, path: Path, *place: str | int) -> None:
    """Refuse numbers that no setting or figure has, and with which scores would silently be none."""
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            _refuse_impossible_numbers(value, path, *place, key)
    elif isinstance(content, float) and not abs(content) <= _LARGEST_NUMBER:
        name = ".".join(map(str, place))
        raise BundleError(f"{path}: {name} is {content}, it must be in the range (-1e9, 1e9)")


def _check_file(path: Path, expected: str) -> None:
    _refuse_special(path)
    try:
        found = file_sha256(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    if found != expected:
        raise BundleError(f"{path}: its SHA-256 is {found}, the manifest says {expected}: the file was altered")
