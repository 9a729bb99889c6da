"""Pseudonyms for identifiers: the same secret gives the same pseudonym for the same patient or UID."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from dicognito.anonymizer import Anonymizer
from dicognito.datetimeanonymizer import DateTimeAnonymizer
from pydicom.dataset import Dataset

from mammoscope.errors import MammoscopeError

_SHORTEST_SALT = 16
_ROUNDS = 200_000  # about a tenth of a second, once, so that secrets cannot be guessed by the million
_FEWEST_DAYS, _MOST_DAYS = 62, 730  # as in dicognito, but different for each patient


class Pseudonyms:
    """Replaces UIDs, the patient's ID and name, and shifts dates, by dicognito.

    Parameters
    ----------
    salt
        A secret of 16 characters or more; the same one gives the same pseudonyms in another run. None: a new one,
        which is not kept.

    Raises
    ------
    MammoscopeError
        The salt is too short to be a secret.
    """

    def __init__(self, salt: str | None) -> None:
        if salt is None:
            self._key = secrets.token_bytes(32)
            return
        if len(salt) < _SHORTEST_SALT:
            raise MammoscopeError(
                f"the salt has {len(salt)} characters, it must be a secret of {_SHORTEST_SALT} or more"
            )
        self._key = hashlib.pbkdf2_hmac("sha256", salt.encode(), b"mammoscope deidentify", _ROUNDS)

    def apply(self, dataset: Dataset, patient: tuple[str, ...]) -> None:
        """Replace in place.

        Parameters
        ----------
        dataset
            With its file meta, UIDs and dates; those must be valid.
        patient
            What identifies this patient.
        """
        digest = hmac.digest(self._key, "\0".join(patient).encode(), "sha256")
        dataset.PatientID = digest.hex()  # which dicognito replaces by a pseudonym
        anonymizer = Anonymizer(seed=self._key.hex())
        days = _FEWEST_DAYS + int.from_bytes(digest[:8], "big") % (_MOST_DAYS - _FEWEST_DAYS)
        anonymizer.add_element_handler(DateTimeAnonymizer(-24 * days))
        anonymizer.anonymize(dataset)
        dataset.PatientName = f"PSEUDONYM^{dataset.PatientID}"  # which nobody takes for a name
