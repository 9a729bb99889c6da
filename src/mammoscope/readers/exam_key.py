"""Exam keys: a keyed hash of study and patient tells which images are of one exam, but not whose they are."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

_KEY_BYTES = 32


@dataclass(frozen=True)
class ExamSecret:
    """The secret of the exam keys. It is random, is sent only to child processes, and is never written.

    Keys of different secrets are unrelated, and without the secret nobody can test whether a key is that of a patient
    they know.
    """

    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(_KEY_BYTES), repr=False)

    def __post_init__(self) -> None:
        if len(self._secret) != _KEY_BYTES:
            raise ValueError(f"a secret of {len(self._secret)} bytes, it must have {_KEY_BYTES}")

    def key_of(self, study: str, identity: Sequence[str]) -> str:
        """The exam key, 64 hex digits, of a Study Instance UID and of the values that identify the patient."""
        text = json.dumps([study, *identity])  # so that no two lists have one text
        return hmac.digest(self._secret, text.encode(), hashlib.sha256).hex()

    def to_message(self) -> str:
        """For the pipe to a child process."""
        return self._secret.hex()

    @classmethod
    def from_message(cls, text: str) -> ExamSecret:
        """What ``to_message`` sent."""
        return cls(bytes.fromhex(text))


RUN_SECRET = ExamSecret()  # of this process, and of the decoders that it starts
