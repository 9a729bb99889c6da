"""A loaded bundle for the workers of a batch, threads or processes."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from mammoscope.bundle import Bundle, default_bundle_folder, load_bundle
from mammoscope.errors import BundleError


class SharedBundle:
    """A bundle that threads share. Another process gets its folder and hash, and loads it for itself.

    The folder of the built-in bundle is None: on another machine it may be elsewhere.
    """

    def __init__(self, folder: Path | None, sha256: str, fast: bool = False, bundle: Bundle | None = None) -> None:
        self._folder, self._sha256, self._fast, self._bundle = folder, sha256, fast, bundle
        self._lock = Lock()
        self._is_ready = False

    @classmethod
    def of(cls, bundle: Bundle) -> SharedBundle:
        """Share a bundle that is loaded."""
        folder = bundle.folder.absolute()
        return cls(None if folder == default_bundle_folder().absolute() else folder, bundle.sha256, bundle.fast, bundle)

    def __reduce__(self) -> tuple[type[SharedBundle], tuple[Path | None, str, bool]]:
        return type(self), (self._folder, self._sha256, self._fast)

    def loaded(self) -> Bundle:
        """The bundle, its manifest checked.

        Raises
        ------
        BundleError
            It cannot be loaded, or was changed.
        """
        with self._lock:
            if self._bundle is None:
                self._bundle = load_bundle(self._folder, fast=self._fast)
                if self._bundle.sha256 != self._sha256:
                    raise BundleError(
                        f"{self._bundle.folder}: the bundle was changed while files were analysed with it"
                    )
            return self._bundle

    def with_models(self) -> Bundle:
        """The bundle with its models, which are loaded at first use, once for all threads."""
        bundle = self.loaded()
        with self._lock:
            if not self._is_ready:
                bundle.load()
                self._is_ready = True
        return bundle
