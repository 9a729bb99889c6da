"""The header of a JPEG, JPEG-LS or JPEG 2000 codestream, read without decoding the image."""

from __future__ import annotations

from dataclasses import dataclass

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_J2K_START = b"\xff\x4f\xff\x51"
_J2K_TILE_PART = b"\xff\x90"
_MOST_TILES = 65_535  # that a codestream can number
_SOS = 0xDA
_SOF55_JPEG_LS = 0xF7
_NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})  # within C0-CF, but Huffman tables, reserved, arithmetic conditioning
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True)
class CodestreamHeader:
    """Size and depth of a codestream.

    Attributes
    ----------
    rows, columns, components
        Size of the decoded image.
    bits
        Bits of a decoded sample.
    complete
        False if the codestream lacks its end, or tiles: the rest would be decoded to grey, black or random pixels.
    """

    rows: int
    columns: int
    components: int
    bits: int
    complete: bool


def read_jpeg_header(data: bytes) -> CodestreamHeader:
    """Header of a JPEG or JPEG-LS codestream.

    Raises
    ------
    ValueError
        It is not such a codestream, or ends before its header is complete.
    """
    if not data.startswith(_JPEG_START):
        raise ValueError("does not start as a JPEG codestream")
    frame: tuple[int, int, int, int] | None = None
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise ValueError(f"has no marker at byte {position} of its JPEG header")
        marker = data[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        is_frame = 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES
        if (is_frame or marker == _SOF55_JPEG_LS) and position + 10 <= len(data):
            bits, components = data[position + 4], data[position + 9]
            rows = int.from_bytes(data[position + 5 : position + 7], "big")
            frame = (rows, int.from_bytes(data[position + 7 : position + 9], "big"), components, bits)
        position += 2 + length
        if marker == _SOS:
            if frame is None:
                break
            return CodestreamHeader(*frame, complete=data.find(_JPEG_END, position) >= 0)
    raise ValueError("ends within its JPEG header")


def read_jpeg2000_header(data: bytes) -> CodestreamHeader:
    """Header of a JPEG 2000 or HTJ2K codestream, bare or in a JP2 file.

    Raises
    ------
    ValueError
        It is not such a codestream, or ends before its header is complete.
    """
    start = data.find(_J2K_START, 0, 65536)
    siz = data[start + 4 : start + 43]
    if start < 0 or len(siz) < 39:
        raise ValueError("does not start as a JPEG 2000 codestream")
    right, bottom, left, top = (int.from_bytes(siz[i : i + 4], "big") for i in (4, 8, 12, 16))
    components = int.from_bytes(siz[36:38], "big")
    # OpenJPEG refuses a tile that lacks packets, but leaves one black that is missing altogether.
    width, height, tiles_left, tiles_top = (int.from_bytes(siz[i : i + 4], "big") for i in (20, 24, 28, 32))
    tiles = -(-(right - tiles_left) // max(1, width)) * -(-(bottom - tiles_top) // max(1, height))
    complete = 0 < tiles <= _MOST_TILES and len(_tiles_present(data, start)) == tiles
    return CodestreamHeader(bottom - top, right - left, components, (siz[38] & 0x7F) + 1, complete)


def _tiles_present(data: bytes, start: int) -> set[int]:
    """Numbers of the tiles that have a tile-part (ISO/IEC 15444-1, A.4.2) in the codestream that starts there."""
    position, tiles = start + 2, set()
    while position + 12 <= len(data):
        marker, length = data[position : position + 2], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _J2K_TILE_PART:
            tiles.add(int.from_bytes(data[position + 4 : position + 6], "big"))
            length = int.from_bytes(data[position + 6 : position + 10], "big") - 2
        elif tiles:
            break
        if length < 2:  # the last tile-part may leave its length open
            break
        position += 2 + length
    return tiles
