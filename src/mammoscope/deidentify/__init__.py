"""De-identify mammograms: only elements on a list are kept, and identifiers are replaced.

``docs/privacy.md`` says what this does, and what it does not.
"""

from __future__ import annotations

from mammoscope.deidentify.files import NOT_DONE, Deidentified, deidentify_files

__all__ = ["NOT_DONE", "Deidentified", "deidentify_files"]
