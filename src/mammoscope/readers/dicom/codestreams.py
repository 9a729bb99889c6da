"""The header of a JPEG, JPEG-LS or JPEG 2000 codestream, read without decoding the image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
_J2K_START, _JP2_START = b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"
_J2K_TILE_PART, _J2K_CODING_STYLE = b"\xff\x90", b"\xff\x52"
_IRREVERSIBLE = 0  # wavelet transform 9-7 (ISO/IEC 15444-1, A.6.1)
_BLOCK_CODERS, _HT_ONLY = 0xC0, 0x40  # of the style of code-blocks (ISO/IEC 15444-15, A.4)
_REACH = 65_536  # within which the codestream of a JP2 file starts
_MOST_TILES = 65_535  # that a codestream can number
_SOS = 0xDA
_SOF55_JPEG_LS = 0xF7
_NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})  # within C0-CF, but Huffman tables, reserved, arithmetic conditioning
_LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_PROGRESSIVE_FRAMES = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})


class Compression(StrEnum):
    """What packed the pixels."""

    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    RUN_LENGTHS = "RLE"


@dataclass(frozen=True)
class CodestreamHeader:
    """What a codestream says of itself.

    Attributes
    ----------
    rows, columns, components
        Size of the decoded image.
    bits
        Bits of a decoded sample.
    compression
        What packed it.
    lossy
        Whether it was packed in a way that loses something: DCT, near-lossless JPEG-LS, a point transform, or an
        irreversible wavelet.
    progressive
        Whether a JPEG shows the whole image before its end, only less sharp.
    complete
        False if tiles are missing, which would be decoded to black.
    ended
        False if the end marker is missing; then more may be, and would be decoded to grey or random pixels.
    high_throughput
        Whether it is HTJ2K of one component, with no block of another coder, and as long as its tile-parts say.
    """

    rows: int
    columns: int
    components: int
    bits: int
    compression: Compression
    lossy: bool
    progressive: bool
    complete: bool
    ended: bool
    high_throughput: bool = False


def is_codestream(data: bytes) -> bool:
    """Whether the bytes start a codestream whose kind they tell."""
    return data.startswith((JPEG_START + b"\xff", _J2K_START, _JP2_START))


def read_codestream_header(data: bytes) -> CodestreamHeader:
    """Header of a codestream, of the kind that its first bytes tell.

    Raises
    ------
    ValueError
        It is no codestream, or ends before its header is complete.
    """
    return read_jpeg_header(data) if data.startswith(JPEG_START) else _read_jpeg2000_header(data)


def read_jpeg_header(data: bytes) -> CodestreamHeader:
    """Header of a JPEG or JPEG-LS codestream.

    Raises
    ------
    ValueError
        It is not such a codestream, or ends before its header is complete.
    """
    if not data.startswith(JPEG_START):
        raise ValueError("does not start as a JPEG codestream")
    frame: tuple[int, int, int, int, int] | None = None
    for marker, position, length in _jpeg_segments(data):
        is_frame = 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES
        if (is_frame or marker == _SOF55_JPEG_LS) and position + 10 <= len(data):
            height, width = (int.from_bytes(data[position + i : position + i + 2], "big") for i in (5, 7))
            frame = (height, width, data[position + 9], data[position + 4], marker)
        if marker == _SOS and frame is not None:
            rows, columns, components, bits, kind = frame
            is_ls, end = kind == _SOF55_JPEG_LS, position + 2 + length
            near, transform = (data[end - 3], data[end - 1] & 0xF) if end <= len(data) else (0, 0)
            return CodestreamHeader(
                rows,
                columns,
                components,
                bits,
                compression=Compression.JPEG_LS if is_ls else Compression.JPEG,
                lossy=transform > 0 or near > 0 if is_ls else transform > 0 or kind not in _LOSSLESS_FRAMES,
                progressive=kind in _PROGRESSIVE_FRAMES,
                complete=True,
                ended=data.find(JPEG_END, end) >= 0,
            )
    raise ValueError("ends within its JPEG header")


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, place and length of each segment, up to the first scan."""
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise ValueError(f"has no marker at byte {position} of its JPEG header")
        marker = data[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        yield marker, position, length
        if marker == _SOS:
            return
        position += 2 + length


def _read_jpeg2000_header(data: bytes) -> CodestreamHeader:
    """Header of a JPEG 2000 or HTJ2K codestream, bare or in a JP2 file."""
    start = data.find(_J2K_START, 0, _REACH)
    siz = data[start + 4 : start + 43]
    if start < 0 or len(siz) < 39:
        raise ValueError("does not start as a JPEG 2000 codestream")
    right, bottom, left, top = (int.from_bytes(siz[i : i + 4], "big") for i in (4, 8, 12, 16))
    # OpenJPEG refuses a tile that lacks packets, but leaves one black that is missing altogether.
    width, height, tiles_left, tiles_top = (int.from_bytes(siz[i : i + 4], "big") for i in (20, 24, 28, 32))
    tiles = -(-(right - tiles_left) // max(1, width)) * -(-(bottom - tiles_top) // max(1, height))
    parts = _read_parts(data, start)
    components = int.from_bytes(siz[36:38], "big")
    return CodestreamHeader(
        rows=bottom - top,
        columns=right - left,
        components=components,
        bits=(siz[38] & 0x7F) + 1,
        compression=Compression.JPEG_2000,
        lossy=parts.lossy,
        progressive=False,
        complete=0 < tiles <= _MOST_TILES and len(parts.tiles) == tiles,
        ended=data.rfind(JPEG_END) > start,  # no packet holds these two bytes
        high_throughput=components == 1 and parts.high_throughput and parts.whole,
    )


@dataclass
class _Parts:
    """What the markers of a JPEG 2000 codestream say (ISO/IEC 15444-1, A.4).

    Attributes
    ----------
    tiles
        Numbers of the tiles that have a tile-part.
    lossy
        Whether the wavelet is irreversible.
    high_throughput
        Whether all code-blocks are of HTJ2K.
    whole
        Whether the end marker is right where the last tile-part says that it ends.
    """

    tiles: set[int]
    lossy: bool = False
    high_throughput: bool = False
    whole: bool = False


def _read_parts(data: bytes, start: int) -> _Parts:
    position, parts = start + 2, _Parts(set())
    while position + 12 < len(data):
        marker, length = data[position : position + 2], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _J2K_TILE_PART:
            parts.tiles.add(int.from_bytes(data[position + 4 : position + 6], "big"))
            length = int.from_bytes(data[position + 6 : position + 10], "big") - 2
        elif parts.tiles:
            break
        elif marker == _J2K_CODING_STYLE:
            style, wavelet = data[position + 12], data[position + 13 : position + 14]
            parts.lossy = wavelet == bytes((_IRREVERSIBLE,))
            parts.high_throughput = style & _BLOCK_CODERS == _HT_ONLY
        if length < 2:  # the last tile-part may leave its length open
            break
        position += 2 + length
    parts.whole = data[position : position + 2] == JPEG_END
    return parts
