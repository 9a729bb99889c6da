"""mammoscope: finds, outlines and grades masses in mammograms. Research use only.

>>> import mammoscope
>>> analysis = mammoscope.analyze("mammogram.dcm")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mammoscope.api import Analysis, Bundle, Mammogram, analyze, analyze_exam, load_bundle, read_mammogram

__version__ = "0.2.0"

NOTICE = "Research use only. Not for diagnostic use."

__all__ = [
    "NOTICE",
    "Analysis",
    "Bundle",
    "Mammogram",
    "__version__",
    "analyze",
    "analyze_exam",
    "load_bundle",
    "read_mammogram",
]


def __getattr__(name: str) -> Any:
    """What is in ``mammoscope.api``, imported at first use, so that ``import mammoscope`` and help are instant."""
    if name not in __all__:
        raise AttributeError(f"module 'mammoscope' has no attribute {name!r}")
    from mammoscope import api  # noqa: PLC0415 (see above)

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
