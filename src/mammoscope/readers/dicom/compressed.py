"""Compressed images of DICOM files, through imagecodecs: permissive licences only, no GDCM, no pylibjpeg.

The codestream says what it is; where the transfer syntax says something else, that is told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from mammoscope.readers.dicom.admission import PixelLayout
from mammoscope.readers.dicom.codestreams import (
    JPEG_END,
    CodestreamHeader,
    Compression,
    is_codestream,
    read_codestream_header,
    read_jpeg_header,
)
from mammoscope.readers.dicom.encapsulation import is_run_lengths, packed_frame
from mammoscope.readers.dicom.header import DicomFile
from mammoscope.readers.source import reason_of

Words = NDArray[np.unsignedinteger[Any]]

NATIVE_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_SAID: dict[str, Compression] = {
    RLELossless: Compression.RUN_LENGTHS,
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), Compression.JPEG),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), Compression.JPEG_LS),
    **dict.fromkeys((JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), Compression.JPEG_2000),
}
READABLE_SYNTAXES = (*NATIVE_SYNTAXES, *_SAID)
_LOSSY_SYNTAXES = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
_THREADS = min(4, os.cpu_count() or 1)  # a lossless JPEG 2000 mammogram takes two seconds on one core
_LEAST_BITS, _MOST_BITS = 8, 16
_ALONE = Lock()  # of one thread at a time: the hook is the process's
_CUT_OFF = "is cut off: a part of its compressed image is missing"
# Put behind an image that lacks its end: they change what is decoded only where pixels are missing.
_FILLS = (b"", b"\x55" * 64, b"\xaa" * 64)


def _decode_jpeg(data: bytes, photometric: str) -> NDArray[Any]:
    # Without being told, libjpeg takes three components for YCbCr.
    colours = "RGB" if photometric == "RGB" else None
    return np.asarray(imagecodecs.jpeg8_decode(data, colorspace=colours, outcolorspace=colours))


def _decode_jpeg_ls(data: bytes, photometric: str) -> NDArray[Any]:
    return np.asarray(imagecodecs.jpegls_decode(data))


def _decode_jpeg_2000(data: bytes, photometric: str) -> NDArray[Any]:
    return np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=_THREADS))


def _decode_htj2k(data: bytes) -> NDArray[Any] | None:
    """By OpenJPH, in half the time of OpenJPEG, which has to do it or say why not where this gives None.

    OpenJPH takes a codestream that is cut off, so it gets those alone that are whole. Of what else it finds wrong,
    imagecodecs tells Python's hook, and gives the rest of the image in black.
    """
    unraised: list[object] = []
    with _ALONE:
        before, sys.unraisablehook = sys.unraisablehook, unraised.append
        try:
            decoded = np.asarray(imagecodecs.htj2k_decode(data))
        except MemoryError:
            raise
        except Exception:  # imagecodecs has an exception class for each codec
            return None
        finally:
            sys.unraisablehook = before
    return None if unraised else decoded


_DECODERS: dict[Compression, Callable[[bytes, str], NDArray[Any]]] = {
    Compression.JPEG: _decode_jpeg,
    Compression.JPEG_LS: _decode_jpeg_ls,
    Compression.JPEG_2000: _decode_jpeg_2000,
}


@dataclass(frozen=True, eq=False)
class CompressedImage:
    """The one compressed image of a file, still packed; what is wrong with its packing was told.

    Attributes
    ----------
    frame
        The codestream, or the segments of RLE, with an end.
    header
        What the codestream says; None of RLE.
    said_lossy
        Whether the file says that something was lost.
    """

    file: DicomFile
    layout: PixelLayout
    frame: bytes
    header: CodestreamHeader | None
    said_lossy: bool

    @property
    def lossy(self) -> bool:
        """Whether it was packed in a way that loses something."""
        return self.header is not None and self.header.lossy

    @property
    def bits(self) -> int:
        """Bits of a decoded word."""
        return self.layout.bits_allocated if self.header is None else self.header.bits

    @property
    def syntax(self) -> UID:
        """The transfer syntax that fits; the file's, unless the codestream is of another kind."""
        said = self.file.transfer_syntax
        if self.header is None:
            return RLELossless
        if _SAID.get(said) is self.header.compression:
            return said
        lossless, lossy = {
            Compression.JPEG: (
                JPEGLossless,
                JPEGBaseline8Bit if self.header.bits == _LEAST_BITS else JPEGExtended12Bit,
            ),
            Compression.JPEG_LS: (JPEGLSLossless, JPEGLSNearLossless),
        }.get(self.header.compression, (JPEG2000Lossless, JPEG2000))
        return lossy if self.header.lossy else lossless

    def words(self) -> Words:
        """Decode it: ``(H, W)`` or ``(H, W, 3)`` with all bits of a word.

        Raises
        ------
        InputError
            It cannot be decoded, or does not match the header.
        """
        return self._run_lengths() if self.header is None else self._decoded(self.header)

    def _decoded(self, header: CodestreamHeader) -> Words:
        try:
            decoded = _decode_htj2k(self.frame) if header.high_throughput else None
            if decoded is None:
                decoded = _DECODERS[header.compression](self.frame, self.layout.photometric)
        except MemoryError:
            raise
        except Exception as error:  # imagecodecs has an exception class for each codec
            raise self.file.source.error(f"its compressed image cannot be decoded ({reason_of(error)})") from None
        shape = (self.layout.rows, self.layout.columns, self.layout.samples)
        if (
            decoded.shape != shape[: 2 if self.layout.samples == 1 else 3]
            or decoded.dtype.kind not in "iu"
            or decoded.dtype.itemsize > 2
        ):
            raise self.file.source.error(f"its compressed image decodes to {decoded.shape} {decoded.dtype}")
        return decoded.view(f"u{decoded.dtype.itemsize}")

    def _run_lengths(self) -> Words:
        layout, source = self.layout, self.file.source
        word = np.dtype(f"<u{layout.bits_allocated // 8}")
        needed = layout.rows * layout.columns * layout.samples * word.itemsize
        # One byte more than needed: shows that an image is too long without decoding all of a decompression bomb.
        room = bytearray(needed + 1)
        try:
            decoded = imagecodecs.dicomrle_decode(self.frame, word, out=room)
        except MemoryError:
            raise
        except Exception as error:  # imagecodecs has an exception class for each codec
            raise source.error(f"its RLE pixel data cannot be decoded ({reason_of(error)})") from None
        if len(decoded) != needed:
            raise source.error(
                f"its RLE pixel data has {len(decoded)} bytes, {layout.columns} x {layout.rows} pixels need {needed}"
            )
        # The segments of RLE are planes, whatever Planar Configuration says.
        words = np.frombuffer(decoded, word)
        return words.reshape(layout.samples, layout.rows, layout.columns).transpose(1, 2, 0).squeeze()


def compressed_image(file: DicomFile, layout: PixelLayout) -> CompressedImage:
    """The compressed image of a file, checked against its header before anything is decoded.

    Raises
    ------
    InputError
        It is cut off, of no kind that is known, or does not match the header.
    """
    frame, header = _recognised(file)
    if header is not None:
        _check(file, layout, header)
        if not header.ended:
            frame = _with_end(file, layout, frame, header)
    return CompressedImage(file, layout, frame, header, is_said_lossy(file))


def is_said_lossy(file: DicomFile) -> bool:
    """Whether a file says of its pixels, in whatever way, that something was lost."""
    return file.header.code("LossyImageCompression") == "01" or file.transfer_syntax in _LOSSY_SYNTAXES


def is_lossy(file: DicomFile) -> bool:
    """Whether pixels lost something when they were compressed: by what the file says, or its codestream is."""
    if is_said_lossy(file):
        return True
    if (
        file.pixels is None
        or file.pixels.length == 0
        or not (file.pixels.length is None or file.transfer_syntax in _SAID)
    ):
        return False
    header = _recognised(file)[1]
    return header is not None and header.lossy


def _recognised(file: DicomFile) -> tuple[bytes, CodestreamHeader | None]:
    """The frame, and what its codestream says; None of RLE."""
    frame, said = packed_frame(file), _SAID.get(file.transfer_syntax)
    if not is_codestream(frame) and (said is Compression.RUN_LENGTHS or is_run_lengths(frame)):
        header, found = None, Compression.RUN_LENGTHS
    else:
        is_jpeg = said in (Compression.JPEG, Compression.JPEG_LS) and not is_codestream(frame)
        try:
            header = (read_jpeg_header if is_jpeg else read_codestream_header)(frame)
        except ValueError as error:
            raise file.source.error(f"its compressed pixel data {error}") from None
        found = header.compression
    if found is not said:
        file.header.warnings.append(
            f"The transfer syntax is '{file.transfer_syntax.name}', but the pixel data is {found}, and is read as that."
        )
    return frame, header


def _check(file: DicomFile, layout: PixelLayout, header: CodestreamHeader) -> None:
    if (header.rows, header.columns, header.components) != (layout.rows, layout.columns, layout.samples):
        raise file.source.error(
            f"its compressed image has {header.columns} x {header.rows} pixels of {header.components} "
            f"samples, the header says {layout.columns} x {layout.rows} of {layout.samples}"
        )
    if not _LEAST_BITS <= header.bits <= _MOST_BITS:
        raise file.source.error(f"its compressed image has {header.bits} bits a sample, expected 8 to 16")
    if not header.complete:
        raise file.source.error(_CUT_OFF)


def _with_end(file: DicomFile, layout: PixelLayout, frame: bytes, header: CodestreamHeader) -> bytes:
    """A codestream with the end marker that it lacks, if no pixel is missing."""
    padded = [frame, frame[:-1]] if frame.endswith(b"\0") else [frame]
    whole = next((one for one in padded if _is_whole(one, layout, header)), None)
    if whole is None:
        raise file.source.error(_CUT_OFF)
    file.header.warnings.append("The compressed image lacks its end marker; all its pixels are there.")
    return whole + JPEG_END


def _is_whole(frame: bytes, layout: PixelLayout, header: CodestreamHeader) -> bool:
    """Whether a codestream holds all pixels: libjpeg makes up those that are missing, the others refuse."""
    if header.progressive:
        return False
    decode = _DECODERS[header.compression]
    fills = _FILLS if header.compression is Compression.JPEG else _FILLS[:1]
    try:
        first, *others = (decode(frame + fill + JPEG_END, layout.photometric) for fill in fills)
    except MemoryError:
        raise
    except Exception:  # imagecodecs has an exception class for each codec
        return False
    return all(np.array_equal(first, other) for other in others)
