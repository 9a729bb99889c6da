"""Ways to spoil a file. Each takes any bytes and a random generator, and aims where a reader trusts what it reads."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from functools import cache
from itertools import islice
from random import Random

from fuzz.seeds import seeds
from fuzz.structure import PIXEL_DATA, UNDEFINED, Element, Encoding, elements

Mutation = Callable[[bytes, Random], bytes]

_LENGTHS = (0, 1, 2, 7, 8, 254, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFD, 0xFFFFFFFE, UNDEFINED)
_NUMBERS = (0, 1, 2, 3, 7, 8, 12, 15, 16, 17, 63, 64, 65, 80, 96, 255, 256, 4095, 4096, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
_SIDES = (*(0, 1, 63, 64, 65, 80, 95, 96, 97, 160, 192) * 4, 1000, 3000, 20_000, 20_001, 32_768, 65_535)
_TEXTS = (
    *(b"", b" ", b"\0", b"\\", b"\\" * 999, b"1e400", b"-1e400", b"nan", b"inf", b"-0", b"0x10", b"1_000"),
    *(b"9" * 5000, b"0." + b"0" * 400 + b"1", b"1\\2\\3\\4", b"R", b"L", b"B", b"RMLO", b"CC", b"YES", b"MONOCHROME1"),
    *(b"INVERSE", b"FOR PROCESSING", b"YBR_FULL", b"PALETTE COLOR", b"ISO_IR 192", b"\\ISO 2022 IR 87", b"GB18030"),
    *(b"<script>alert(1)</script>", b"=cmd|'/c calc'!A0", b"'; drop table exams; --", b"${jndi:ldap://x}", b"%n%s%x"),
    *(b"\x1b[2J\x1b]0;x\x07", b"line\r\nSet-Cookie: a=b", b"..\\..\\etc\\passwd", b"/dev/zero", b"\xff\xfe\x80\x81"),
    *("\u202efdp.exe".encode(), "\u0130\u1e9e\ufb01".encode(), b"\x1b$B\x7f\x7f", b"\xed\xa0\x80", b"A" * 70_000),
)
_VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV ?? \0\0"
_TAGS = (
    *(0x00020010, 0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x00080068, 0x00080070, 0x00100010),
    *(0x00180015, 0x00181114, 0x00181164, 0x00185101, 0x00200020, 0x00200060, 0x00200062, 0x00280002, 0x00280004),
    *(0x00280008, 0x00280010, 0x00280011, 0x00280034, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280120),
    *(0x00281050, 0x00281051, 0x00281053, 0x00283000, 0x00283002, 0x00283006, 0x00283010, 0x00540220, 0x00540222),
    *(0x00041220, 0x00041500, 0x20500020, 0x52009229, 0x7FE00008, 0x7FE00009, PIXEL_DATA, 0xFFFEE000, 0xFFFEE00D),
    *(0xFFFEE0DD, 0xFFFCFFFC, 0xFFFFFFFF, 0x00000000),
)
_SYNTAXES = (
    *(b"1.2", b"1.2.1", b"1.2.2", b"1.2.1.99", b"1.2.4.50", b"1.2.4.51", b"1.2.4.57", b"1.2.4.70", b"1.2.4.80"),
    *(b"1.2.4.81", b"1.2.4.90", b"1.2.4.91", b"1.2.4.92", b"1.2.4.100", b"1.2.4.201", b"1.2.4.202", b"1.2.4.203"),
    *(b"1.2.5", b"1.2.8.1", b"1.20"),
)
_PREAMBLES = (
    *(
        b"MZ\x90\0",
        b"\x7fELF\2\1\1",
        b"%PDF-1.7\n",
        b"PK\3\4",
        b"\x1f\x8b\x08",
        b"#!/bin/sh\nexit 1\n",
        b"<html><script>",
    ),
    *(b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"),
)
_MARKER = re.compile(rb"\xff[\x4f-\xfe]")  # of JPEG, JPEG-LS and JPEG 2000
_DEPTHS = (1, 2, 3, 20, 200, 900, 990, 1010, 3000, 10_000)


def mutated(random: Random) -> bytes:
    """A sound file, spoiled one to five times."""
    data = random.choice(seeds())
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
        data = random.choice(MUTATIONS)(data, random)
    return data


def cut_everywhere(data: bytes) -> list[int]:
    """Lengths that end a file at the start of each element, within its header, at its value and within it."""
    lengths = {
        place
        for element in elements(data)
        for place in (element.start, element.start + 5, element.value, (element.value + element.end) // 2)
    }
    return sorted(length for length in lengths if 0 < length < len(data))


def cut(data: bytes, random: Random) -> bytes:
    """End the file at the start, within the header, within the value or at the end of an element."""
    element = _any_element(data, random)
    if element is None:
        return data[: random.randrange(len(data) + 1)]
    middle = (element.value + element.end) // 2
    return data[: random.choice((element.start, element.start + 5, element.value - 1, element.value, middle))]


def lying_length(data: bytes, random: Random) -> bytes:
    """Give an element a length that it does not have."""
    element = _any_element(data, random)
    if element is None:
        return noise(data, random)
    true, left = element.end - element.value, len(data) - element.value
    length = random.choice((*_LENGTHS, true + 1, true - 1, 2 * true, left, left + 1, left - 1))
    return data[: element.start] + _header(element, length) + data[element.value :]


def strange_value(data: bytes, random: Random) -> bytes:
    """Replace a value by a text or numbers that something may choke on."""
    element = _any_element(data, random)
    if element is None:
        return noise(data, random)
    width, order = random.choice((1, 2, 2, 2, 4)), element.encoding.order
    numbers = b"".join(
        (random.choice(_NUMBERS) & ((1 << 8 * width) - 1)).to_bytes(width, order)  # type: ignore[arg-type]
        for _ in range(random.choice((1, 1, 2, 3, 50)))
    )
    value = random.choice(_TEXTS) if random.random() < 0.6 else numbers
    value += b"\0" * (len(value) % 2)
    return data[: element.start] + _header(element, len(value)) + value + data[element.end :]


def strange_kind(data: bytes, random: Random) -> bytes:
    """Give an element another value representation; its length stays where that kind has it, or shifts."""
    element = _any_element(data, random)
    if element is None or not element.vr:
        return noise(data, random)
    vr = random.choice(_VRS.split(b" "))
    if random.random() < 0.5:
        return data[: element.start + 4] + vr + data[element.start + 6 :]
    header = element.encoding.header(element.tag, vr, element.end - element.value)
    return data[: element.start] + header + data[element.value :]


def strange_tag(data: bytes, random: Random) -> bytes:
    """Give an element another element's tag."""
    element = _any_element(data, random)
    if element is None:
        return noise(data, random)
    return data[: element.start] + element.encoding.tag(random.choice(_TAGS)) + data[element.start + 4 :]


def moved(data: bytes, random: Random) -> bytes:
    """Delete, double or move a run of elements."""
    found = elements(data)
    if len(found) < 3:
        return noise(data, random)
    first, second = random.choice(found), random.choice(found)
    piece = data[first.start : first.end]
    rest = data if random.random() < 0.5 else data[: first.start] + data[first.end :]
    return rest if random.random() < 0.3 else rest[: second.start] + piece + rest[second.start :]


def nested(data: bytes, random: Random) -> bytes:
    """Put sequences within sequences before an element."""
    element = _any_element(data, random)
    place = element.start if element else len(data)
    encoding = element.encoding if element else Encoding(explicit=True, order="little")
    tag = random.choice((0x00082218, 0x00540220, 0x00283010, 0x00283000, 0x00400275, 0x00191010, 0x52009229))
    nest = nest_of_sequences(
        encoding, tag, random.choice(_DEPTHS), known=random.random() < 0.5, closed=random.random() < 0.5
    )
    return data[:place] + nest + data[place:]


def nest_of_sequences(encoding: Encoding, tag: int, depth: int, *, known: bool, closed: bool) -> bytes:
    """Sequences of one item each, ``depth`` deep: with known lengths, or undefined ones that are closed or not."""
    if not known:
        opening = encoding.header(tag, b"SQ", UNDEFINED) + encoding.header(0xFFFEE000, b"", UNDEFINED)
        closing = encoding.header(0xFFFEE00D, b"", 0) + encoding.header(0xFFFEE0DD, b"", 0)
        return opening * depth + (closing * depth if closed else b"")
    step = len(encoding.header(tag, b"SQ", 0)) + 8
    lengths = range(step * (depth - 1), -1, -step)
    return b"".join(
        encoding.header(tag, b"SQ", 8 + length) + encoding.header(0xFFFEE000, b"", length) for length in lengths
    )


def noise(data: bytes, random: Random) -> bytes:
    """Flip, set, drop, double or shuffle bytes, mostly near the start, where the headers are."""
    spoiled = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        if not spoiled:
            break
        place = random.randrange(len(spoiled) if random.random() < 0.4 else min(len(spoiled), 2048))
        length = random.choice((1, 1, 2, 4, 30))
        match random.randrange(5):
            case 0:
                spoiled[place] ^= 1 << random.randrange(8)
            case 1:
                spoiled[place] = random.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                del spoiled[place : place + length]
            case 3:
                spoiled[place:place] = spoiled[place : place + length]
            case _:
                spoiled[place : place + length] = random.randbytes(length)
    return bytes(spoiled)


def spliced(data: bytes, random: Random) -> bytes:
    """The start of this file and the end of another."""
    other = random.choice(seeds())
    here, there = _any_element(data, random), _any_element(other, random)
    return data[: here.start if here else len(data) // 2] + other[there.start if there else len(other) // 2 :]


def spoiled_pixels(data: bytes, random: Random) -> bytes:
    """Spoil the compressed stream alone: bytes anywhere in it, the sizes of its segments, or its end."""
    start = _pixels_start(data)
    stream = bytearray(data[start:])
    if not stream:
        return data
    markers = [match.start() for match in islice(_MARKER.finditer(stream), 40)]
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        aimed = markers and random.random() < 0.6
        place = min(random.choice(markers), len(stream) - 1) if aimed else random.randrange(len(stream))
        match random.randrange(6):
            case 0:
                stream[place : place + 2] = b"\xff" + bytes([random.randrange(256)])
            case 1:
                stream[place + 2 : place + 4] = random.choice(_NUMBERS).to_bytes(2, "big")
            case 2:
                inside = min(len(stream) - 1, place + random.randrange(48))
                stream[inside] = random.choice((0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, random.randrange(256)))
            case 3:
                stream[place:place] = stream[place : place + random.randrange(1, 60)]
            case 4:
                # Fragments keep their length, so that the codec meets the damage and not the container.
                count = random.randrange(1, 60)
                stream[place : place + count] = b"\0" * min(count, len(stream) - place)
            case _:
                stream[-random.randrange(1, 60) :] = b""
        if not stream:
            break
    return data[:start] + bytes(stream)


def other_size(data: bytes, random: Random) -> bytes:
    """Change what the header says of the pixels, and as often as not the codestream along with it."""
    rows, columns = random.choice(_SIDES), random.choice(_SIDES)
    if random.random() < 0.02:
        rows, columns = random.choice(((10_000, 10_000), (20_000, 5000), (20_000, 64)))
    spoiled = bytearray(data)
    for element in elements(data):
        if element.tag in (0x00280010, 0x00280011) and element.end - element.value == 2:
            side = rows if element.tag == 0x00280010 else columns
            spoiled[element.value : element.end] = side.to_bytes(2, element.encoding.order)  # type: ignore[arg-type]
    if random.random() < 0.5:
        _resize_codestream(spoiled, rows, columns)
    return bytes(spoiled)


def other_syntax(data: bytes, random: Random) -> bytes:
    """Name another transfer syntax than the one that the file is written in."""
    for element in elements(data)[:12]:
        if element.tag == 0x00020010:
            value = b"1.2.840.10008." + random.choice(_SYNTAXES)
            value += b"\0" * (len(value) % 2)
            return data[: element.start] + _header(element, len(value)) + value + data[element.end :]
    return noise(data, random)


def polyglot(data: bytes, random: Random) -> bytes:
    """Make the preamble that of another kind of file, or put one before a file that has none."""
    start = random.choice(_PREAMBLES)
    start += random.choice(seeds())[len(start) : 128] if random.random() < 0.3 else b""
    if data[128:132] == b"DICM":
        return start.ljust(128, b"\0")[:128] + data[128:]
    return start + data


def spoiled_chunk(data: bytes, random: Random) -> bytes:
    """Spoil a chunk of a PNG file and make its checksum right again, or an entry of a TIFF file's directory."""
    if data.startswith(b"\x89PNG"):
        return _spoiled_png(data, random)
    if data[:2] in (b"II", b"MM"):
        return _spoiled_tiff(data, random)
    return spoiled_pixels(data, random)


def bomb(data: bytes, random: Random) -> bytes:
    """Put in place of the pixels a stream that inflates to far more than its size."""
    start = _pixels_start(data)
    zeros = _zeros(random.choice((10_000, 1_000_000, 30_000_000)))
    runs = b"\x81\0" * random.choice((1000, 100_000))
    stream = random.choice((zeros, runs, struct.pack("<16I", 2, 64, 64 + len(runs) // 2, *[0] * 13) + runs))
    stream += b"\0" * (len(stream) % 2)
    return data[:start] + stream + b"\xfe\xff\xdd\xe0\0\0\0\0"


MUTATIONS: tuple[Mutation, ...] = (
    *(cut, lying_length, lying_length, strange_value, strange_value, strange_value, strange_kind, strange_tag, moved),
    *(nested, noise, noise, spliced, spoiled_pixels, spoiled_pixels, spoiled_pixels, other_size, other_syntax),
    *(polyglot, spoiled_chunk, bomb),
)


@cache
def _zeros(count: int) -> bytes:
    return zlib.compress(b"\0" * count)


def _any_element(data: bytes, random: Random) -> Element | None:
    found = elements(data)
    return random.choice(found) if found else None


def _header(element: Element, length: int) -> bytes:
    return element.encoding.header(element.tag, element.vr, length)


def _pixels_start(data: bytes) -> int:
    """Where the compressed stream starts: the last fragment of pixel data; 0 in what is no DICOM file."""
    found = [element for element in elements(data) if element.tag in (PIXEL_DATA, 0xFFFEE000)]
    return max(found, key=lambda element: element.end - element.value).value if found else 0


def _resize_codestream(spoiled: bytearray, rows: int, columns: int) -> None:
    for marker in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2", b"\xff\xc3", b"\xff\xf7"):
        place = spoiled.find(marker)
        if 0 <= place < len(spoiled) - 9:
            spoiled[place + 5 : place + 9] = struct.pack(">HH", rows, columns)
    place = spoiled.find(b"\xff\x4f\xff\x51")
    if 0 <= place < len(spoiled) - 16:
        spoiled[place + 8 : place + 16] = struct.pack(">II", columns, rows)


def _spoiled_png(data: bytes, random: Random) -> bytes:
    chunks, position = [], 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    if not chunks:
        return noise(data, random)
    number = random.randrange(len(chunks))
    kind, body = chunks[number]
    extra = random.choice((b"iCCP", b"zTXt", b"iTXt", b"PLTE", b"tRNS", b"acTL", b"fdAT", b"eXIf", b"gAMA", b"IDAT"))
    inflating = b"a\0\0" + _zeros(random.choice((100, 10_000_000)))
    match random.randrange(3):
        case 0:
            chunks[number] = (kind, noise(body, random))
        case 1:
            chunks.insert(number, (extra, inflating))
        case _:
            chunks[number] = (extra, body)
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _spoiled_tiff(data: bytes, random: Random) -> bytes:
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    word, head, size = ("Q", 8, 20) if is_big else ("I", 2, 12)
    spoiled = bytearray(data)
    try:
        directory = struct.unpack_from(f"{order}{word}", data, 8 if is_big else 4)[0]
        count = int.from_bytes(data[directory : directory + head], "little" if order == "<" else "big")
        entry = directory + head + size * random.randrange(min(count, 64))
        most = (1 << (64 if is_big else 32)) - 1
        number = random.choice((*_NUMBERS, *_LENGTHS, len(data), most, most >> 1, (most >> 1) + 1))
        match random.randrange(4):
            case 0:
                struct.pack_into(
                    f"{order}H", spoiled, entry, random.choice((256, 257, 258, 259, 262, 273, 277, 317, 339))
                )
            case 1:
                struct.pack_into(f"{order}H", spoiled, entry + 2, random.randrange(20))
            case 2:
                struct.pack_into(f"{order}{word}", spoiled, entry + 4, number)
            case _:
                struct.pack_into(f"{order}{word}", spoiled, entry + (12 if is_big else 8), number)
    except (struct.error, ValueError, OverflowError):
        return noise(data, random)
    return bytes(spoiled)
