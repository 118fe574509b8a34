"""Image formats by the first bytes of a file, whatever its name says."""

from __future__ import annotations

import functools
import importlib.util

from PIL import Image, features

HEAD_BYTES = 64  # of a file, from which its format is recognised
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIC")
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif", ".hif"),
)
SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    **dict.fromkeys((b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b"), "TIFF"),
}
BMP_HEADER_BYTES = (12, 40, 52, 56, 64, 108, 124)  # the sizes that a BMP's second header can have
AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
HEIF_BRANDS = {b"mif1", b"msf1", b"mif2"}  # containers of either
# Files of programs and cameras that are pictures to their owner, and that nothing here decodes.
UNREADABLE_SIGNATURES = {
    b"8BPS": "a Photoshop file",
    b"%PDF": "a PDF file",
    b"\0\0\0\x0cJXL ": "a JPEG XL image",
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"<svg": "an SVG drawing",
}


def identify_format(head: bytes) -> str:
    """A name of FORMATS for the first HEAD_BYTES of a file; "" where they are no image's."""
    for signature, name in SIGNATURES.items():
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADER_BYTES:
        return "BMP"
    # AVIF and HEIC are one container; its brands name the codec.
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), HEAD_BYTES)
        brands = {head[i : i + 4] for i in range(16, size, 4)} | {head[8:12]}
        if head[8:12] in AVIF_BRANDS or (head[8:12] in HEIF_BRANDS and brands & AVIF_BRANDS):
            return "AVIF"
        if brands & (HEIC_BRANDS | HEIF_BRANDS):
            return "HEIC"
    return ""


def explain_refusal(head: bytes) -> str:
    """Why a file with these first bytes cannot be decoded by this installation; "" where it can."""
    name = identify_format(head)
    if not name:
        for signature, description in UNREADABLE_SIGNATURES.items():
            if head.startswith(signature):
                return f"unsupported: {description}, export as JPEG"
        return f"not a picture: no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file"
    if name == "HEIC" and not has_heic():
        return "unsupported: a HEIC image, export as JPEG or pip install pillow-heif"
    if name == "AVIF" and not has_avif():
        return "unsupported: an AVIF image, export as JPEG"
    return ""


def list_decoders() -> list[str]:
    """The formats that this installation decodes."""
    is_available = {"HEIC": has_heic(), "AVIF": has_avif()}
    return [name for name in FORMATS if is_available.get(name, True)]


@functools.cache
def has_heic() -> bool:
    """Whether HEIC images can be decoded: the optional package pillow-heif is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


@functools.cache
def has_avif() -> bool:
    """Whether this Pillow was built with a decoder of AVIF."""
    return bool(features.check("avif"))


@functools.cache
def get_pillow_name(name: str) -> str:
    """Pillow's name of a format; the decoder of HEIC is registered first."""
    if name != "HEIC":
        return name
    import pillow_heif

    pillow_heif.register_heif_opener()
    Image.init()
    return "HEIF"
