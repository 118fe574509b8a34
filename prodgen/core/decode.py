"""A picture file to upright uint8 pixels, safely; whatever is wrong with it becomes `Refused`.

Files come from shops, phones and strangers. Only regular files are opened, the size is judged from
the header before a pixel is decoded, and only five well-kept formats are tried. Policies: alpha is
kept, the first frame of an animation counts unless a still is asked for, 16 bits are scaled by 257,
CMYK becomes RGB, embedded colour profiles are converted to sRGB, EXIF rotation is applied. A reason
starts with its kind and a colon, so that a report can count the kinds.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms, ImageOps

from prodgen.core.errors import Refused

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
MAX_BYTES = 200_000_000  # a larger file is no product picture, and reading it could fill the memory
MAX_ASPECT = 20  # a strip would become a line of one or two pixels
MAX_PROFILE = 4_000_000  # bytes of a colour profile that are trusted to the colour library


def decode_file(
    path: str | os.PathLike[str], max_pixels: int, *, still: bool = False
) -> np.ndarray:
    """The picture in a file as uint8 [h, w, c], c of 1, 3 or 4 (RGBA), upright. Else `Refused`.

    still: an animation is refused, where otherwise its first frame is the picture.
    """
    return decode_bytes(read_regular(path), max_pixels, still=still)


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file of at most MAX_BYTES; a FIFO or device is never opened."""
    try:
        _check_regular(os.stat(path))
        # Non-blocking, and checked again: the file may be swapped for a FIFO in between.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            _check_regular(os.fstat(descriptor))
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        reason = "missing: a broken link" if os.path.islink(path) else "missing: no such file"
        raise Refused(reason) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise Refused(f"unreadable: {getattr(error, 'strerror', None) or error}") from None


def _check_regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise Refused("not a picture: a folder")
    if not stat.S_ISREG(found.st_mode):
        raise Refused("not a picture: not a regular file")
    if found.st_size == 0:
        raise Refused("not a picture: the file is empty")
    if found.st_size > MAX_BYTES:
        raise Refused(f"too large: {found.st_size} bytes > limit {MAX_BYTES}")


def decode_bytes(data: bytes, max_pixels: int, *, still: bool = False) -> np.ndarray:
    """As `decode_file`, from the bytes of a file."""
    with _own_limits():
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _check_header(image, max_pixels)
            if still:
                _check_still(image)
            if image.format == "PNG":  # checks every chunk's sum, and that the last one is there
                Image.open(io.BytesIO(data), formats=("PNG",)).verify()
            image.load()
            return _pixels(_upright(image))
        except Refused:
            raise
        except MemoryError:
            raise Refused("too large: not enough memory to decode it") from None
        except Image.UnidentifiedImageError:
            raise Refused(f"not a picture: no {', '.join(FORMATS)} file") from None
        except Exception as error:  # a decoder may raise anything on hostile bytes
            raise Refused(_reason(error)) from None


@contextlib.contextmanager
def _own_limits() -> Iterator[None]:
    """Pillow's warnings are silent and its own size limit is off: `_check_header` has the say."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_header(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise Refused(f"broken: {width} x {height} pixels")
    if width * height > max_pixels:
        raise Refused(f"too large: {width * height} px > limit {max_pixels}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Refused(f"too narrow: {width} x {height} is beyond {MAX_ASPECT} to 1")


def _check_still(image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: a phone's JPEG, followed by its previews
        raise Refused(f"animated: {frames} frames")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:120] or type(error).__name__
    kind = "truncated" if "truncated" in text.lower() else "broken"
    return f"{kind}: {text}"


def _upright(image: Image.Image) -> Image.Image:
    """Rotated as the EXIF orientation says; unreadable EXIF counts as none."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF is an attachment: its faults are no reason to lose the picture
        image.getexif().clear()
        return image


def _pixels(image: Image.Image) -> np.ndarray:
    """uint8 [h, w, 1 | 3 | 4] of a decoded picture of any mode."""
    if image.mode.startswith("I"):
        return _scale_16_bits(np.asarray(image))
    if image.mode == "F":
        raise Refused("unsupported: floating-point pixels")
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        colour = _srgb(image.convert("RGB") if image.mode != "RGBA" else image, "RGB")
        opaque = alpha.getextrema()[0] == 255
        return np.asarray(colour if opaque else Image.merge("RGBA", (*colour.split(), alpha)))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(_srgb(image, "RGB"))


def _scale_16_bits(values: np.ndarray) -> np.ndarray:
    """Grey values in [0, 65535], [h, w], to uint8 [h, w, 1]: 257 = 65535 / 255, so white stays."""
    if values.min() < 0 or values.max() > 65535:
        raise Refused("unsupported: grey values beyond 16 bits")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)[..., None]


def _srgb(image: Image.Image, mode: str) -> Image.Image:
    """The picture as sRGB, through its embedded colour profile where it has another one."""
    profile = image.info.get("icc_profile") or b""
    plain = image.convert(mode)
    if not profile or len(profile) > MAX_PROFILE or b"sRGB" in profile or b"s\0R\0G\0B" in profile:
        return plain
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        start = image if image.mode == "CMYK" else plain
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(start, source, target, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):  # a profile for other channels, or broken
        return plain
