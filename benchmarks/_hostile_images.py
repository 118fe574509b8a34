"""Image files for hostile.py: valid ones of every format, and what damage makes of them."""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
BOMB_SIDE = 7000  # pixels, just under the limit of data.max_pixels
BOMB_SHARE = 0.002  # of the files: a small file of a large image, which is valid
WRONG_SUFFIX_SHARE = 0.1
SIZES = (0, 1, 255, BOMB_SIDE, 50_000, 65_535, 2**31 - 1)  # pixels a side that headers declare
TIFF_SIZE_TAGS = (256, 257, 258, 277, 278, 322, 323)
CHECK_MEMORY_BYTES = 4 * 2**30
# Pixels of these still follow from the file: it is read, and equals the original.
HARMLESS = ("append", "lose_end_marker")

Mutation = Callable[[np.random.Generator, "Seed", "list[Seed]"], bytes]


@dataclasses.dataclass(frozen=True)
class Seed:
    """A valid image file."""

    name: str
    format: str
    data: bytes


def make_seeds() -> list[Seed]:
    """Images of about 90 x 70 pixels in every format and the variants that shops have."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:70, 0:90]
    smooth = np.stack([x * 2.8, y * 3.6, 255 - x - y], -1) + rng.normal(0, 6, (70, 90, 3))
    rgb = Image.fromarray(smooth.clip(0, 255).astype(np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(
        Image.fromarray(np.where((x - 45) ** 2 + (y - 35) ** 2 < 900, 255, 90).astype("u1"))
    )
    grey16 = Image.fromarray((smooth[..., 0].clip(0, 255) * 257).astype(np.uint16))
    exif, text = Image.Exif(), PngInfo()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    text.add_text("Title", "a product")
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = {"save_all": True, "append_images": [rgb.rotate(180)]}
    variants = {
        "JPEG": [(rgb, {}), (rgb, {"progressive": True}), (rgb, {"restart_marker_blocks": 4}),
                 (rgb.convert("CMYK"), {}), (rgb.convert("L"), {"optimize": True}),
                 (rgb, {"exif": exif, "icc_profile": icc})],
        "PNG": [(rgb, {"pnginfo": text}), (rgba, {"exif": exif}), (rgb.quantize(16), {}),
                (grey16, {}), (rgb.convert("1"), {}), (rgb, frames)],
        "WEBP": [(rgb, {}), (rgba, {"lossless": True}), (rgba, {"exif": exif}), (rgb, frames)],
        "GIF": [(rgb, {}), (rgba, {}), (rgb, frames)],
        "BMP": [(rgb, {}), (rgb.quantize(256), {}), (rgba, {})],
        "TIFF": [(rgb, {}), (rgba, {"compression": "tiff_lzw"}), (rgb, {"compression": "jpeg"}),
                 (grey16, {"compression": "packbits"}), (rgb.convert("CMYK"), {"exif": exif}),
                 (rgb, {"compression": "tiff_adobe_deflate"} | frames),
                 (rgb.convert("1"), {"compression": "group4"})],
        "AVIF": [(rgb, {}), (rgba, {}), (rgb, {"exif": exif}), (rgb, frames)],
    }  # fmt: skip
    return [
        Seed(f"{name.lower()}{number}", name, encode(image, name, **options))
        for name, images in variants.items()
        for number, (image, options) in enumerate(images)
    ]


def encode(image: Image.Image, name: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


@functools.cache
def make_bomb(name: str) -> bytes:
    """A small file of a valid image with BOMB_SIDE pixels a side."""
    options = {
        "WEBP": {"lossless": True, "method": 0},
        "TIFF": {"compression": "tiff_adobe_deflate"},
        "AVIF": {"speed": 10},
    }
    has_alpha = name in ("PNG", "WEBP", "TIFF", "AVIF")
    colour = (200, 30, 30, 128) if has_alpha else (200, 30, 30)
    image = Image.new("RGBA" if has_alpha else "RGB", (BOMB_SIDE, BOMB_SIDE), colour)
    return encode(image.quantize(4) if name == "GIF" else image, name, **options.get(name, {}))


def flip_bits(rng, seed, seeds):
    data = bytearray(seed.data)
    for _ in range(rng.integers(1, 20)):
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(data)


def overwrite(rng, seed, seeds):
    start, size = rng.integers(len(seed.data)), rng.integers(1, 64)
    noise = rng.integers(0, 256, size, np.uint8).tobytes()
    return seed.data[:start] + noise + seed.data[start + size :]


def truncate(rng, seed, seeds):
    size = len(seed.data)
    return seed.data[: size - rng.integers(1, 17 if rng.random() < 0.3 else size)]


def lose_end_marker(rng, seed, seeds):
    """The end of a JPEG or a PNG, which holds no pixel; other formats stay as they are."""
    num_bytes = {"JPEG": 2, "PNG": 12}.get(seed.format, 0)
    return seed.data[: len(seed.data) - num_bytes]


def append(rng, seed, seeds):
    return seed.data + rng.integers(0, 256, rng.integers(1, 3000), np.uint8).tobytes()


def splice(rng, seed, seeds):
    """The beginning of another file, and the rest of this one."""
    other, size = seeds[rng.integers(len(seeds))], rng.integers(4, 200)
    return other.data[:size] + seed.data[size:]


def move_slice(rng, seed, seeds):
    """A slice is lost, repeated, or stands elsewhere."""
    data = seed.data
    start, stop = sorted(rng.integers(0, len(data), 2))
    position = rng.integers(len(data))
    rest = data[:start] + data[stop:]
    repeats = [rest, data[:position] + data[start:stop] + data[position:],
               rest[:position] + data[start:stop] + rest[position:]]  # fmt: skip
    return repeats[rng.integers(3)]


def declare_size(rng, seed, seeds):
    """Another width and height, or another size tag of a TIFF, in the header."""
    data = bytearray(seed.data)
    width, height = (int(SIZES[i]) for i in rng.integers(0, len(SIZES), 2))
    if seed.format == "JPEG":
        positions = [i for m in (b"\xff\xc0", b"\xff\xc2") if (i := data.find(m)) >= 0]
        struct.pack_into(">HH", data, positions[0] + 5, height & 0xFFFF, width & 0xFFFF)
    elif seed.format == "PNG":
        struct.pack_into(">II", data, 16, width, height)
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    elif seed.format == "GIF":
        frame = data.index(b"\x2c\0\0\0\0") + 5  # the position of the first frame's size
        position = 6 if rng.random() < 0.5 else frame
        struct.pack_into("<HH", data, position, width & 0xFFFF, height & 0xFFFF)
    elif seed.format == "BMP":
        struct.pack_into("<II", data, 18, width, height)
    elif seed.format == "WEBP":
        position = {b"VP8X": 24, b"VP8L": 21}.get(bytes(data[12:16]), 26)
        data[position : position + 6] = struct.pack("<II", (width & 0xFFFFFF) << 8, height)[1:7]
    elif seed.format == "AVIF":
        struct.pack_into(">II", data, data.index(b"ispe") + 8, width, height)
    elif seed.format == "TIFF":
        order = "<" if data[:2] == b"II" else ">"
        start = struct.unpack_from(f"{order}I", data, 4)[0]
        count = struct.unpack_from(f"{order}H", data, start)[0]
        entries = [start + 2 + 12 * i for i in range(count)]
        tags = [struct.unpack_from(f"{order}H", data, entry)[0] for entry in entries]
        sizes = [i for i, tag in enumerate(tags) if tag in TIFF_SIZE_TAGS]
        entry = entries[rng.choice(sizes if rng.random() < 0.7 else range(count))]
        struct.pack_into(f"{order}HII", data, entry + 2, 4, 1, width)
        if rng.random() < 0.3:  # as tiles
            struct.pack_into(f"{order}HHII", data, entry, int(rng.choice((322, 323))), 4, 1, height)
    return bytes(data)


def explode(rng, seed, seeds):
    return make_bomb(seed.format)


MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bits, overwrite, truncate, lose_end_marker, append, splice, move_slice, declare_size),
)


def write_batch(
    folder: Path, seeds: list[Seed], count: int, rng: np.random.Generator
) -> dict[str, tuple[str, str]]:
    """Write the seeds and `count` damaged files: {name: (mutation, seed)}."""
    folder.mkdir(parents=True)
    for seed in seeds:
        (folder / f"seed_{seed.name}.{seed.format.lower()}").write_bytes(seed.data)
    files = {}
    for number in range(count):
        seed = seeds[rng.integers(len(seeds))]
        mutation = MUTATIONS[rng.integers(len(MUTATIONS))]
        if rng.random() < BOMB_SHARE:
            mutation = explode
        has_wrong_suffix = rng.random() < WRONG_SUFFIX_SHARE
        suffix = FORMATS[rng.integers(len(FORMATS))] if has_wrong_suffix else seed.format
        name = f"{number:05d}_{mutation.__name__}_{seed.name}.{suffix.lower()}"
        (folder / name).write_bytes(mutation(rng, seed, seeds))
        files[name] = mutation.__name__, seed.name
    return files


def equals_seed(folder: Path, task: tuple[str, str]) -> bool:
    """Whether Pillow alone decodes a file, without an error, to the pixels of its seed.

    task: the names of both files.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # warnings of Pillow and libtiff
    resource.setrlimit(resource.RLIMIT_AS, (CHECK_MEMORY_BYTES, CHECK_MEMORY_BYTES))
    try:
        # From bytes: a file is mapped into memory, without a check of its strips.
        files = [io.BytesIO((folder / name).read_bytes()) for name in task]
        images = [Image.open(file, formats=FORMATS) for file in files]
        if not images[0].mode.startswith("I"):  # 16 bits become RGBA with a loss
            images = [image.convert("RGBA") for image in images]
        return np.array_equal(*map(np.asarray, images))
    except Exception:
        return False
