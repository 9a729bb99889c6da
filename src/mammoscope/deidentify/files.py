"""De-identify many files: a file that fails does not stop the others."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from mammoscope.deidentify.dataset import deidentified
from mammoscope.deidentify.kept import REQUIRED_UIDS
from mammoscope.deidentify.pixels import kept_pixels
from mammoscope.deidentify.pseudonyms import Pseudonyms
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.execution.backend import Backend, Crashed
from mammoscope.execution.threads import Threads
from mammoscope.files import write_bytes
from mammoscope.readers.dicom.admission import modality_of, pixel_layout
from mammoscope.readers.dicom.codecs import require_pixels
from mammoscope.readers.dicom.compressed import READABLE_SYNTAXES
from mammoscope.readers.dicom.header import DicomFile, Header, described, read_header
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.readers.source import MAGIC_BYTES, Source, detect_format, read_source
from mammoscope.readers.uids import is_standard_uid, kept_uid

logger = logging.getLogger(__name__)

NOT_DONE = (
    "Text in the pixels is not removed: check every image before you pass it on, above all film scans.",
    "The pixels themselves stay: whoever has the original image, or another of the same breast, can recognise it.",
    "Dates are shifted by the same number of days for all files of a patient, so intervals between them stay true.",
)
_LOOK = "it was not removed: check the image before you pass it on"


@dataclass(frozen=True)
class Deidentified:
    """What became of one file.

    Attributes
    ----------
    path
        The file.
    written
        The new file; None if there is none.
    warning
        Why its pixels may name the patient; None: the file states that they do not.
    notes
        What else was wrong with the file, and what became of it.
    error
        What went wrong, naming the file; None if nothing did.
    """

    path: Path
    written: Path | None = None
    warning: str | None = None
    notes: tuple[str, ...] = ()
    error: InputError | None = None


def deidentify_files(
    paths: Sequence[Path], out: Path, salt: str | None = None, backend: Backend | None = None
) -> Generator[Deidentified]:
    """De-identify mammograms into ``out``, each as ``UID.dcm``, named by its new SOP instance UID.

    Parameters
    ----------
    paths
        DICOM files.
    out
        Folder; made if it is missing.
    salt
        See ``Pseudonyms``.
    backend
        How the files are run; None: one thread, in their order. Several threads would mix up pydicom's warnings;
        several processes save time.

    Yields
    ------
    Deidentified
        One for each file.

    Raises
    ------
    MammoscopeError
        The salt is too short.
    """
    job = DeidentifyJob(Pseudonyms(salt))
    claims: dict[bytes, bytes] = {}
    with closing((backend or Threads(1)).run(job, paths)) as outcomes:
        for path, outcome in outcomes:
            if isinstance(outcome, Crashed):
                yield Deidentified(path, error=InputError(path, f"the process that read it ended ({outcome.reason})"))
            elif isinstance(outcome, InputError):
                yield Deidentified(path, error=outcome)
            else:
                try:
                    yield _write(path, out, outcome, claims)
                except InputError as error:
                    yield Deidentified(path, error=error)


@dataclass(frozen=True)
class NewFile:
    """A de-identified file that is not written yet.

    Attributes
    ----------
    uid
        Its SOP instance UID.
    source_sha256
        Of the file that it was made from.
    content
        All its bytes.
    warning, notes
        See ``Deidentified``.
    """

    uid: str
    source_sha256: str
    content: bytes
    warning: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DeidentifyJob:
    """De-identifies files in memory; an error is the result of its file."""

    pseudonyms: Pseudonyms

    @contextmanager
    def open(self) -> Iterator[Callable[[Path], NewFile | InputError]]:
        """See ``Job``."""
        yield self._outcome

    def _outcome(self, path: Path) -> NewFile | InputError:
        try:
            return _deidentify(path, self.pseudonyms)
        except InputError as error:
            return error
        except MammoscopeError as error:
            return InputError(path, str(error))
        except Exception as error:
            logger.debug("a file failed", exc_info=True)
            return InputError(path, f"cannot be de-identified ({type(error).__name__})")


def _deidentify(path: Path, pseudonyms: Pseudonyms) -> NewFile:
    source = read_source(path, DEFAULT_LIMITS)
    file_format = detect_format(source.data[:MAGIC_BYTES])
    if file_format != "DICOM":
        raise source.error(f"is {file_format or 'not an image'}, only DICOM files can be de-identified")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's messages quote values
        dataset, doubt, notes = _changed(source, pseudonyms)
        content = BytesIO()
        dcmwrite(content, dataset, enforce_file_format=True)
    return NewFile(str(dataset.SOPInstanceUID), source.sha256, content.getvalue(), doubt, notes)


def _write(path: Path, out: Path, new: NewFile, claims: dict[bytes, bytes]) -> Deidentified:
    """Write a file, unless another one with its UID was written before; ``claims``: what UIDs were written, of what."""
    claim, content = hashlib.sha256(new.uid.encode()).digest()[:16], bytes.fromhex(new.source_sha256)[:16]
    if claims.setdefault(claim, content) != content:
        raise InputError(path, "has the SOP instance UID of an earlier file, but other content: not written")
    target = out / f"{new.uid}.dcm"
    try:
        write_bytes(target, new.content)
    except MammoscopeError as error:  # names what could not be written
        raise InputError(path, str(error)) from None
    return Deidentified(path, target, new.warning, new.notes)


def _changed(source: Source, pseudonyms: Pseudonyms) -> tuple[Dataset, str | None, tuple[str, ...]]:
    file = read_header(source)
    modality = modality_of(file)
    layout = pixel_layout(file, DEFAULT_LIMITS)
    header, syntax = file.header, file.transfer_syntax
    if syntax not in READABLE_SYNTAXES:
        raise source.error(f"{described('TransferSyntaxUID')} is {header.shown_uid(syntax)}, which is not supported")
    require_pixels(file)
    if not header.has("SOPClassUID"):
        raise source.error(f"{described('SOPClassUID')} is missing")
    if header.has("SharedFunctionalGroupsSequence") or header.has("PerFrameFunctionalGroupsSequence"):
        raise source.error("is an enhanced object, which cannot be de-identified: its values are in functional groups")
    pixels = kept_pixels(file, layout)
    doubt = _doubt_about_pixels(file, modality) or (f"{pixels.doubt}; {_LOOK}" if pixels.doubt else None)
    return deidentified(file, pixels, pseudonyms, may_name_patient=doubt is not None), doubt, _notes_on_uids(header)


def _notes_on_uids(header: Header) -> tuple[str, ...]:
    """What is wrong with the UIDs that a mammogram must have. None of them is quoted: they are being replaced."""
    notes = []
    for keyword in REQUIRED_UIDS:
        uid = kept_uid(header.text(keyword))
        if uid is None:
            notes.append(f"{described(keyword)} is {'no UID' if header.has(keyword) else 'missing'}: one was made up")
        elif not is_standard_uid(uid):
            notes.append(f"{described(keyword)} is not written as a UID should be: it was replaced as it stands")
    return tuple(notes)


def _doubt_about_pixels(file: DicomFile, modality: str) -> str | None:
    """Why the pixels may name the patient; None if the file states that they do not, and is not the scan of a film."""
    burnt_in = file.header.code("BurnedInAnnotation")
    if burnt_in == "YES":
        return f"the pixels hold burnt-in text, which may name the patient; {_LOOK}"
    if modality != "MG":
        return f"it is the scan of a film ({modality}), whose label may name the patient; {_LOOK}"
    if burnt_in != "NO":
        return f"the file does not say that its pixels are free of burnt-in text; {_LOOK}"
    return None
