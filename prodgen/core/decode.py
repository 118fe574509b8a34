"""Decoding of image files to upright uint8 pixels; every fault of a file is a `RejectedItem`.

Files come from shops, phones and strangers. Only regular files are opened, the format is that of
the first bytes (core/formats.py), and the size is checked in the header before any pixel is
decoded. Alpha is kept, the first frame of an animation and the first page of a TIFF count unless
the caller wants a single frame, 16 bits are scaled by 1 / 257, CMYK becomes RGB, embedded colour
profiles are converted to sRGB, EXIF rotation is applied. A file without its last bytes is decoded
where all its pixels are there (core/file_ends.py). A reason starts with its kind and a colon, so
that a report can count the kinds.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import stat
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms, ImageOps

from prodgen.core import file_ends, formats
from prodgen.core.errors import RejectedItem

logging.getLogger("PIL").addHandler(logging.NullHandler())  # it prints errors of files otherwise
VERSION = 2  # of what is decoded, and how: part of a store's key
MAX_FILE_BYTES = 200_000_000  # no product image is larger, and a larger file could fill the memory
MAX_ASPECT_RATIO = 20  # a narrower image would become a line of one or two pixels
MAX_PROFILE_BYTES = 4_000_000  # of a colour profile that the colour library may parse
STRIP_PIXELS = 2**20  # of an image that are converted at a time
MAX_SCANS = 1000  # of a JPEG: each costs the time of decoding all pixels
SUBFILE_TAG, BITS_TAG, PHOTOMETRIC_TAG, DNG_TAG = 254, 258, 262, 50706  # of a TIFF
PLANES_TAG, TILE_WIDTH_TAG, TILE_HEIGHT_TAG = 284, 322, 323


def decode_file(
    path: str | os.PathLike[str], max_pixels: int, *, single_frame: bool = False
) -> np.ndarray:
    """The image in a file as uint8 [h, w, c], c of 1, 3 or 4 (RGBA), upright; or `RejectedItem`.

    single_frame: reject animations, of which otherwise the first frame is decoded.
    """
    check_head(path)  # however large a file of another content is, it is not read
    return decode_bytes(read_regular(path), max_pixels, single_frame=single_frame)


def check_head(path: str | os.PathLike[str]) -> None:
    """RejectedItem where the first bytes of a file are not those of an image that can be read."""
    refusal = formats.explain_refusal(read_regular(path, formats.HEAD_BYTES))
    if refusal:
        raise RejectedItem(refusal)


def read_regular(path: str | os.PathLike[str], max_bytes: int = MAX_FILE_BYTES + 1) -> bytes:
    """The first bytes of a regular file of at most MAX_FILE_BYTES, all of them by default.

    RejectedItem where there is none. A FIFO or device is never opened.
    """
    try:
        _check_regular(os.stat(path))
        # Non-blocking, and checked again: the file may be swapped for a FIFO in between.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0 if max_bytes <= formats.HEAD_BYTES else -1) as file:
            status = os.fstat(descriptor)
            _check_regular(status)
            # A read of more bytes than the file has allocates them all.
            return file.read(min(max_bytes, status.st_size + 1))
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
    name = formats.identify_format(data[: formats.HEAD_BYTES])
    refusal = formats.explain_refusal(data[: formats.HEAD_BYTES])
    if refusal:
        raise RejectedItem(refusal)
    with _disable_pillow_limits():
        try:
            try:
                image = _load_image(data, name, max_pixels, single_frame)
            except OSError as error:
                image = _load_without_end(data, name, max_pixels, error)
            # Apply the EXIF rotation. Unreadable EXIF data are no reason to reject the image.
            try:
                ImageOps.exif_transpose(image, in_place=True)
            except Exception:
                image.getexif().clear()
            return _to_array(image)
        except RejectedItem:
            raise
        except MemoryError:
            raise RejectedItem("too large: not enough memory to decode it") from None
        except Image.UnidentifiedImageError:
            raise RejectedItem(f"broken: the header of the {name} file") from None
        except Exception as error:  # a decoder may raise anything on hostile bytes
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            kind = "truncated" if "truncated" in reason.lower() else "broken"
            raise RejectedItem(f"{kind}: {reason}") from None


def _load_image(data: bytes, name: str, max_pixels: int, single_frame: bool) -> Image.Image:
    """The decoded image. RejectedItem or any exception of a decoder where it is damaged."""
    if name == "PNG":
        data = file_ends.check_png(data, max_pixels)
    elif name == "WEBP":
        data = file_ends.complete_webp(data)
    image = Image.open(io.BytesIO(data), formats=(formats.get_pillow_name(name),))
    _check_header(image, max_pixels, single_frame)
    if name == "TIFF":
        _check_tiff(image, data, max_pixels)
    elif name == "JPEG" and data.count(b"\xff\xda") > MAX_SCANS:
        raise RejectedItem(f"broken: more than {MAX_SCANS} scans")
    size = image.size
    with _discard_stderr() if name == "TIFF" else contextlib.nullcontext():
        image.load()
    if image.size != size:  # the header declares another size than the compressed pixels
        _check_header(image, max_pixels, single_frame=False)
    return image


def _load_without_end(data: bytes, name: str, max_pixels: int, error: OSError) -> Image.Image:
    """The image of a file without its last bytes; `error` is raised where pixels are missing."""
    image, digests = None, set()
    # A byte FF at the end is the first half of a marker.
    body = data.rstrip(b"\xff") if name == "JPEG" else data
    is_truncated = "truncated" in str(error)
    for tail in file_ends.make_tails(name, data) if is_truncated else ():
        image = _load_image(body + tail, name, max_pixels, single_frame=False)
        digests.add(hashlib.sha256(image.tobytes()).digest())
        if len(digests) > 1:
            break
    if image is None or len(digests) > 1:
        raise error
    return image


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


@contextlib.contextmanager
def _discard_stderr() -> Iterator[None]:
    """Discard what is written to file descriptor 2: libtiff prints errors there, without a name."""
    try:
        descriptor, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # no standard error, or too many open files
        yield
        return
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(descriptor, 2)
        os.close(descriptor)
        os.close(null)


def _check_header(image: Image.Image, max_pixels: int, single_frame: bool) -> None:
    """RejectedItem if an image that is not decoded yet has a wrong size or several frames."""
    width, height = image.size
    if width < 1 or height < 1:
        raise RejectedItem(f"broken: {width} x {height} pixels")
    if width * height > max_pixels:
        raise RejectedItem(f"too large: {width * height} px > limit {max_pixels}")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise RejectedItem(f"too narrow: {width} x {height} is beyond {MAX_ASPECT_RATIO} to 1")
    # The further frames of an MPO, a phone's JPEG, are its previews. Those of a TIFF are pages.
    can_be_animated = single_frame and image.format not in ("MPO", "TIFF", "HEIF")
    num_frames = getattr(image, "n_frames", 1) if can_be_animated else 1
    if num_frames > 1:
        raise RejectedItem(f"animated: {num_frames} frames")


def _check_tiff(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """RejectedItem for a TIFF that is a camera's raw file, lacks tiles, or has huge ones."""
    tags = image.tag_v2
    is_preview = isinstance(tags.get(SUBFILE_TAG), int) and tags[SUBFILE_TAG] & 1
    if is_preview or DNG_TAG in tags or data[8:10] == b"CR":
        raise RejectedItem("unsupported: a camera's raw file, export as JPEG")
    tile_width, tile_height = tags.get(TILE_WIDTH_TAG, 1), tags.get(TILE_HEIGHT_TAG, 1)
    if tile_width * tile_height > max_pixels:
        raise RejectedItem(f"too large: a tile of {tile_width * tile_height} px > {max_pixels}")
    # Pixels of no tile would be black. Where each channel is a plane, each has tiles of its own.
    is_planar = image.tile[0].codec_name == "raw" and tags.get(PLANES_TAG) == 2
    extents = [tile.extents for tile in image.tile]
    area = sum((right - left) * (bottom - top) for left, top, right, bottom in extents)
    if area < image.width * image.height * (len(image.getbands()) if is_planar else 1):
        raise RejectedItem("truncated: parts of the image are missing")


def _to_array(image: Image.Image) -> np.ndarray:
    """uint8 [h, w, 1 | 3 | 4] of a decoded image of any mode.

    The rows are converted a few at a time: a second copy of a large image would fill the memory.
    """
    tags, is_tiff = getattr(image, "tag_v2", {}), image.format == "TIFF"
    num_rows, array = max(1, STRIP_PIXELS // image.width), np.zeros((0, 0, 0), np.uint8)
    for top in range(0, image.height, num_rows):
        strip = image.crop((0, top, image.width, min(top + num_rows, image.height)))
        if image.mode.startswith("I"):
            bits = tags.get(BITS_TAG, (16,))[0]
            # 0 is white in some TIFFs, and Pillow inverts them up to 8 bits only.
            is_inverted = is_tiff and tags.get(PHOTOMETRIC_TAG, 0) == 0
            rows = _scale_grey(np.asarray(strip), bits, is_inverted)
        else:
            rows = _convert_strip(strip)
        if not array.size:
            array = np.empty((image.height, image.width, rows.shape[-1]), np.uint8)
        array[top : top + num_rows] = rows
    # Keep the alpha channel unless it is opaque everywhere.
    if array.shape[-1] == 4 and array[..., 3].min() == 255:
        return np.ascontiguousarray(array[..., :3])
    return array


def _convert_strip(image: Image.Image) -> np.ndarray:
    """uint8 [h, w, 1 | 3 | 4] of an image of 8 bits a channel."""
    if image.mode == "F":
        raise RejectedItem("unsupported: floating-point pixels")
    if image.mode in ("La", "RGBa"):  # colours multiplied by alpha
        image = image.convert(image.mode.upper())
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        colour = _to_srgb(image.convert("RGB") if image.mode != "RGBA" else image)
        return np.asarray(Image.merge("RGBA", (*colour.split(), alpha)))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(_to_srgb(image))


def _scale_grey(values: np.ndarray, bits: int, is_inverted: bool) -> np.ndarray:
    """uint8 [h, w, 1] of grey values of 16 bits, or of the 12 that a TIFF can have.

    16 bits are scaled by 1 / 257 = 255 / 65535, so that white stays white.
    """
    white = 4095 if bits == 12 else 65535
    if values.min() < 0 or values.max() > white:
        raise RejectedItem("unsupported: grey values beyond 16 bits")
    levels = ((values.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)
    return (255 - levels if is_inverted else levels)[..., None]


def _to_srgb(image: Image.Image) -> Image.Image:
    """The image as RGB in sRGB, converted from its embedded colour profile if it has one."""
    profile = image.info.get("icc_profile") or b""
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
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
