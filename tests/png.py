"""Just enough PNG to look at a screenshot: 8 bits a channel, not interlaced (W3C PNG, 9.2: filters)."""

import struct
import zlib
from collections import Counter
from pathlib import Path

Colour = tuple[int, int, int]


def colours(path: Path) -> Counter[Colour]:
    """Count the pixels of each colour."""
    return Counter(pixel for row in rows(path) for pixel in row)


def rows(path: Path) -> list[list[Colour]]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, packed, width, channels = 8, b"", 0, 0
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, _, depth, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            channels = {2: 3, 6: 4}[colour_type]
            assert (depth, interlaced) == (8, 0)
        elif kind == b"IDAT":
            packed += body
        place += 12 + length
    raw, stride = zlib.decompress(packed), width * channels
    found: list[list[Colour]] = []
    above = bytearray(stride)
    for start in range(0, len(raw), stride + 1):
        above = _unfiltered(
            raw[start], bytearray(raw[start + 1 : start + 1 + stride]), above, channels
        )
        found.append(
            list(zip(above[0::channels], above[1::channels], above[2::channels], strict=True))
        )
    return found


def _unfiltered(kind: int, row: bytearray, above: bytearray, channels: int) -> bytearray:
    for at in range(len(row)):
        left = row[at - channels] if at >= channels else 0
        corner = above[at - channels] if at >= channels else 0
        guess = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))[kind]
        row[at] = (row[at] + guess) & 0xFF
    return row


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda each: abs(guess - each))
