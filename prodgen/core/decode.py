"""Decoding of image files to upright uint8 pixels; every fault of a file is a `RejectedItem`.

Files come from shops, phones and strangers. Only regular files are opened, the size is checked in
the header before any pixel is decoded, and only five formats with well-maintained decoders are
accepted. Alpha is kept, the first frame of an animation counts unless the caller wants a single
frame, 16 bits are scaled by 1 / 257, CMYK becomes RGB, embedded colour profiles are converted to
sRGB, EXIF rotation is applied. A reason starts with its kind and a colon, so that a report can
count the kinds.
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

from prodgen.core.errors import RejectedItem

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
MAX_FILE_BYTES = 200_000_000  # no product image is larger, and a larger file could fill the memory
MAX_ASPECT_RATIO = 20  # a narrower image would become a line of one or two pixels
MAX_PROFILE_BYTES = 4_000_000  # of a colour profile that the colour library may parse


def decode_file(
    path: str | os.PathLike[str], max_pixels: int, *, single_frame: bool = False
) -> np.ndarray:
    """The image in a file as uint8 [h, w, c], c of 1, 3 or 4 (RGBA), upright; or `RejectedItem`.

    single_frame: reject animations, of which otherwise the first frame is decoded.
    """
    return decode_bytes(read_regular(path), max_pixels, single_frame=single_frame)


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file of at most MAX_FILE_BYTES. A FIFO or device is never opened."""
    try:
        _check_regular(os.stat(path))
        # Non-blocking, and checked again: the file may be swapped for a FIFO in between.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            _check_regular(os.fstat(descriptor))
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        reason = "missing: a broken link" if os.path.islink(path) else "missing: no such file"
        raise RejectedItem(reason) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise RejectedItem(f"unreadable: {getattr(error, 'strerror', None) or error}") from None


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise RejectedItem("not a picture: a folder")
    if not stat.S_ISREG(status.st_mode):
        raise RejectedItem("not a picture: not a regular file")
    if status.st_size == 0:
        raise RejectedItem("not a picture: the file is empty")
    if status.st_size > MAX_FILE_BYTES:
        raise RejectedItem(f"too large: {status.st_size} bytes > limit {MAX_FILE_BYTES}")


def decode_bytes(data: bytes, max_pixels: int, *, single_frame: bool = False) -> np.ndarray:
    """As `decode_file`, from the bytes of a file."""
    with _disable_pillow_limits():
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _check_header(image, max_pixels, single_frame)
            # PNG: check the checksum of every chunk, and that the last chunk exists.
            if image.format == "PNG":
                Image.open(io.BytesIO(data), formats=("PNG",)).verify()
            image.load()
            # Apply the EXIF rotation. Unreadable EXIF data are no reason to reject the image.
            try:
                image = ImageOps.exif_transpose(image)
            except Exception:
                image.getexif().clear()
            return _to_array(image)
        except RejectedItem:
            raise
        except MemoryError:
            raise RejectedItem("too large: not enough memory to decode it") from None
        except Image.UnidentifiedImageError:
            raise RejectedItem(f"not a picture: no {', '.join(FORMATS)} file") from None
        except Exception as error:  # a decoder may raise anything on hostile bytes
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            kind = "truncated" if "truncated" in reason.lower() else "broken"
            raise RejectedItem(f"{kind}: {reason}") from None


@contextlib.contextmanager
def _disable_pillow_limits() -> Iterator[None]:
    """Pillow gives no warnings and has no size limit of its own: `_check_header` replaces it."""
    max_pixels = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = max_pixels


def _check_header(image: Image.Image, max_pixels: int, single_frame: bool) -> None:
    """RejectedItem if an image that is not decoded yet has a wrong size or several frames."""
    width, height = image.size
    if width < 1 or height < 1:
        raise RejectedItem(f"broken: {width} x {height} pixels")
    if width * height > max_pixels:
        raise RejectedItem(f"too large: {width * height} px > limit {max_pixels}")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise RejectedItem(f"too narrow: {width} x {height} is beyond {MAX_ASPECT_RATIO} to 1")
    # The further frames of an MPO, a phone's JPEG, are its previews.
    num_frames = getattr(image, "n_frames", 1) if single_frame else 1
    if num_frames > 1 and image.format != "MPO":
        raise RejectedItem(f"animated: {num_frames} frames")


def _to_array(image: Image.Image) -> np.ndarray:
    """uint8 [h, w, 1 | 3 | 4] of a decoded image of any mode."""
    if image.mode.startswith("I"):
        # Scale 16-bit grey values by 1 / 257 = 255 / 65535, so that white stays white.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise RejectedItem("unsupported: grey values beyond 16 bits")
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)[..., None]
    if image.mode == "F":
        raise RejectedItem("unsupported: floating-point pixels")
    if image.has_transparency_data:
        # Keep the alpha channel unless it is opaque everywhere.
        alpha = image.convert("RGBA").getchannel("A")
        colour = _to_srgb(image.convert("RGB") if image.mode != "RGBA" else image)
        is_opaque = alpha.getextrema()[0] == 255
        return np.asarray(colour if is_opaque else Image.merge("RGBA", (*colour.split(), alpha)))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(_to_srgb(image))


def _to_srgb(image: Image.Image) -> Image.Image:
    """The image as RGB in sRGB, converted from its embedded colour profile if it has one."""
    profile = image.info.get("icc_profile") or b""
    rgb = image.convert("RGB")
    is_srgb = b"sRGB" in profile or b"s\0R\0G\0B" in profile
    if not profile or len(profile) > MAX_PROFILE_BYTES or is_srgb:
        return rgb
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        image = image if image.mode == "CMYK" else rgb
        return ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):  # a profile of other channels, or broken
        return rgb
