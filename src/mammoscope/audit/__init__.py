"""The audit trail: one line for each analysis, chained by hashes, so that a changed or removed line is detected.

It holds the hash of an input, never its name, and no text of an error. ``docs/privacy.md`` describes the files.
"""

from __future__ import annotations

from mammoscope.audit.trail import AuditTrail, Failure, failure_of
from mammoscope.audit.verify import Verified, verify_trail

__all__ = ["AuditTrail", "Failure", "Verified", "failure_of", "verify_trail"]
