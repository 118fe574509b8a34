"""Files that lack their last bytes, and damage beside the pixels: are all pixels there?

An image is complete where nothing that could follow its bytes, or stand in the place of damaged
ones, changes a pixel of it.
"""

from __future__ import annotations

import re
import struct
import zlib

import numpy as np

from prodgen.core.errors import RejectedItem

END_OF_IMAGE = b"\xff\xd9"  # the last marker of a JPEG
NUM_TAILS = 3  # with random bytes
TAIL_BYTES = 512  # of random bytes that stand for the missing rest of a JPEG
BMP_PADDING_BYTES = 3  # at the end of a row, at most
EXIF_FLAG = 0x08  # of a WebP's extended header
READ_BYTES = 2**20  # that are decompressed at a time
MAX_PIXEL_BYTES = 10  # of a PNG's pixel: four channels of 16 bits, and the filters of its row
# A JPEG's marker and length: no stuffed byte, and no marker without a length.
SEGMENT_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]..", re.DOTALL)
# Markers of its frame, which holds the sizes.
FRAME_MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
START_OF_SCAN = 0xDA
MIN_SEGMENT_BYTES = dict.fromkeys(FRAME_MARKERS, 6) | {START_OF_SCAN: 6}
# Chunks of a PNG that change no pixel.
REMARK_CHUNKS = {b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs", b"hIST", b"sPLT", b"bKGD"}


def make_tails(name: str, data: bytes) -> list[bytes]:
    """Ends of different content that a truncated file can be given; none where they are no help.

    Where all of them give the same image, each of its pixels follows from `data` alone.
    """
    if name == "BMP":
        return [bytes([value]) * BMP_PADDING_BYTES for value in (0, 255, 90)]
    if name != "JPEG" or not has_all_scans(data):
        return []
    rng = np.random.default_rng(0)
    random_tails = [rng.integers(0, 255, TAIL_BYTES, np.uint8).tobytes() for _ in range(NUM_TAILS)]
    # Between two restart intervals, bytes without the next restart marker would be skipped.
    restarts = re.findall(rb"\xff([\xd0-\xd7])", data[data.rfind(b"\xff\xda") :])
    next_restart = 0xD0 + (restarts[-1][0] - 0xD0 + 1) % 8 if restarts else 0xD0
    marked_tails = [bytes([0xFF, next_restart]) + tail for tail in random_tails]
    return [tail + END_OF_IMAGE for tail in (b"", *random_tails, *marked_tails)]


def has_all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG begin for all its components, frequencies and bits.

    The last one may be incomplete.
    """
    components: set[int] = set()
    remaining: dict[tuple[int, int], int] = {}  # (component, frequency): bits to come
    # A segment begins with a marker; entropy-coded bytes, up to the next one, follow a scan's.
    position = 2
    while match := SEGMENT_MARKER.search(data, position):
        position, marker = match.start(), data[match.start() + 1]
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 2 + length]
        if len(body) < max(length - 2, MIN_SEGMENT_BYTES.get(marker, 1)):
            break
        if marker in FRAME_MARKERS:
            components = set(body[6 : 6 + 3 * body[5] : 3])
        elif marker == START_OF_SCAN:
            names = body[1:-3:2]
            first, last, bits = body[-3:]
            for name in names:
                remaining |= {(name, k): bits & 15 for k in range(first, min(last, 63) + 1)}
        position += 2 + length
    return bool(components) and all(
        remaining.get((name, k)) == 0 for name in components for k in range(64)
    )


def complete_webp(data: bytes) -> bytes:
    """A WebP that is shorter than it declares, of its complete chunks; as it is without pixels.

    Its last byte may be padding, and remarks may follow the pixels. The EXIF data, which can turn
    the image, must be there where the header announces them.
    """
    if int.from_bytes(data[4:8], "little") + 8 <= len(data):
        return data
    chunks, position = [], 12
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + 8 + length
        if end > len(data):
            break
        chunks.append(data[position:end] + b"\0" * (length % 2))
        position = end + length % 2
    names = {chunk[:4] for chunk in chunks}
    lacks_exif = data[12:16] == b"VP8X" and data[20] & EXIF_FLAG and b"EXIF" not in names
    if lacks_exif or not names & {b"VP8 ", b"VP8L", b"ANMF"}:
        return data
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def check_png(data: bytes, max_pixels: int) -> bytes:
    """A PNG without its damaged remarks; RejectedItem where a checksum of its pixels is wrong.

    max_pixels: what the header declares at most. The compressed pixels have a checksum of their
    own. Where it is right, a wrong one of a chunk, or a missing end, does not matter.
    """
    kept_bytes, pixels = [data[:8]], []
    is_sound, position = True, 8
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        chunk, body = data[position:end], data[position + 8 : end - 4]
        is_right = end <= len(data) and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if name == b"IDAT":
            pixels.append(body[:length])
            is_sound &= is_right
        is_remark = name in REMARK_CHUNKS or (pixels and name not in (b"IDAT", b"eXIf"))
        if not is_right and not is_remark and name != b"IDAT":
            raise RejectedItem(f"broken: a wrong checksum in {name!r}")
        if is_right or not is_remark:
            kept_bytes.append(chunk)
        position = end
        if name == b"IEND":
            break
    if not is_sound and not _is_complete(pixels, MAX_PIXEL_BYTES * max_pixels):
        is_cut = position > len(data)
        raise RejectedItem("truncated: pixels are missing" if is_cut else "broken: wrong checksum")
    return b"".join(kept_bytes)


def _is_complete(parts: list[bytes], max_bytes: int) -> bool:
    """Whether the zlib stream in these parts, of max_bytes at most, ends with its checksum."""
    stream, size = zlib.decompressobj(), 0
    try:
        for part in parts:
            while part and size <= max_bytes:
                size += len(stream.decompress(part, READ_BYTES))
                part = stream.unconsumed_tail
    except zlib.error:
        return False
    return stream.eof
