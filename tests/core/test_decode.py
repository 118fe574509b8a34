"""Every kind of picture file comes out right, every kind of broken one is refused in words."""

import io
import os
import re
import resource
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from prodgen.core import decode, formats
from prodgen.core.errors import RejectedItem

LIMIT = 50_000_000


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def encode_and_decode(image, kind="PNG", **options):
    return decode.decode_bytes(encode(image, kind, **options), LIMIT)


def quarters(side=32):
    """Four flat quarters, all different: any rotation or mirroring shows."""
    picture = np.zeros((side, 2 * side, 3), np.uint8)
    picture[: side // 2, :side] = (200, 30, 30)
    picture[: side // 2, side:] = (30, 200, 30)
    picture[side // 2 :, :side] = (30, 30, 200)
    picture[side // 2 :, side:] = (220, 220, 40)
    return picture


def chunk(kind, content):
    total = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + total


def png(width, height, depth, colour, rows):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


UPRIGHT = {  # how a viewer turns what is stored, by EXIF orientation
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    options |= {"lossless": True} if kind == "WEBP" else {}
    pixels = encode_and_decode(Image.fromarray(quarters()), kind, exif=exif.tobytes(), **options)
    expected_pixels = UPRIGHT[orientation](quarters())
    assert pixels.shape == expected_pixels.shape
    assert np.abs(pixels.astype(int) - expected_pixels).mean() < 2


def test_broken_exif_is_no_reason_to_refuse():
    pixels = encode_and_decode(
        Image.fromarray(quarters()), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"
    )
    assert pixels.shape == quarters().shape


def test_grey_stays_one_channel_and_one_bit_is_black_and_white():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(encode_and_decode(Image.fromarray(grey))[..., 0], grey)
    bits = encode_and_decode(Image.fromarray(grey > 100))
    np.testing.assert_array_equal(bits[..., 0], np.where(grey > 100, 255, 0))


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.array([[0, 257, 32768], [40000, 65535, 128]], np.uint16)
    pixels = encode_and_decode(Image.fromarray(values))
    np.testing.assert_array_equal(pixels[..., 0], np.round(values / 257).astype(np.uint8))


def test_sixteen_bit_colour():
    rows = b"".join(b"\0" + struct.pack(">6H", 65535, 0, 32768, 257, 40000, 65278) for _ in "ab")
    pixels = decode.decode_bytes(png(2, 2, 16, 2, rows), LIMIT)
    expected_pixels = [[255, 0, 128], [1, 156, 254]]
    assert np.abs(pixels[0].astype(int) - expected_pixels).max() <= 1


def test_alpha_survives_in_every_form():
    colour = quarters()
    alpha = np.where(np.arange(64)[None] < 32, 255, 100).repeat(32, 0).astype(np.uint8)
    rgba = Image.fromarray(np.dstack([colour, alpha]))
    np.testing.assert_array_equal(encode_and_decode(rgba)[..., 3], alpha)
    np.testing.assert_array_equal(encode_and_decode(rgba)[..., :3], colour)
    grey = Image.merge("LA", (Image.fromarray(colour[..., 0]), Image.fromarray(alpha)))
    pixels = encode_and_decode(grey)
    np.testing.assert_array_equal(pixels, np.dstack([colour[..., :1].repeat(3, 2), alpha]))


def test_palette_with_and_without_transparency():
    palette = Image.fromarray(quarters()).quantize(8)
    plain = encode_and_decode(palette)
    np.testing.assert_array_equal(plain, np.asarray(palette.convert("RGB")))
    clear = palette.getpixel((0, 0))
    pixels = encode_and_decode(palette, transparency=clear)
    assert pixels.shape[-1] == 4
    assert pixels[0, 0, 3] == 0 and pixels[-1, -1, 3] == 255
    assert encode_and_decode(palette, "GIF", transparency=clear)[0, 0, 3] == 0


def test_opaque_alpha_is_dropped():
    assert encode_and_decode(Image.fromarray(quarters()).convert("RGBA")).shape[-1] == 3


def test_cmyk_becomes_rgb():
    image = Image.fromarray(quarters())
    pixels = encode_and_decode(image.convert("CMYK"), "JPEG", quality=98)
    assert np.abs(pixels.astype(int) - quarters()).mean() < 4  # Pillow writes Adobe's inverted form


def test_colour_profiles_are_converted_to_srgb():
    from PIL import ImageCms

    plain = Image.fromarray(quarters())
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(encode_and_decode(plain, icc_profile=srgb), quarters())
    np.testing.assert_array_equal(encode_and_decode(plain, icc_profile=b"broken" * 50), quarters())


def test_first_frame_of_animations():
    frames = [Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (40, 200)]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("AVIF", {})):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert abs(int(decode.decode_bytes(data, LIMIT).max()) - 40) <= 1, kind


def test_a_still_is_asked_for():
    frames = [Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (40, 200)]
    for kind in ("GIF", "WEBP", "PNG", "AVIF"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        with pytest.raises(RejectedItem, match="animated: 2 frames"):
            decode.decode_bytes(data, LIMIT, single_frame=True)
        one = encode(frames[0], kind)
        assert decode.decode_bytes(one, LIMIT, single_frame=True).shape == (16, 16, 3), kind
    phone = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert decode.decode_bytes(phone, LIMIT, single_frame=True).shape == (16, 16, 3)


def test_bmp_and_interlaced_and_upper_case(tmp_path):
    np.testing.assert_array_equal(encode_and_decode(Image.fromarray(quarters()), "BMP"), quarters())
    path = tmp_path / "SHOE.PNG"
    Image.fromarray(quarters()).save(path, "PNG")
    np.testing.assert_array_equal(decode.decode_file(path, LIMIT), quarters())


@pytest.mark.parametrize("width, height", [(50_000, 50_000), (20_000, 20_000)])
def test_bombs_are_refused_from_the_header(width, height):
    data = png(width, height, 1, 0, b"\0" * 10_000_000)  # the rows need not be there
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(RejectedItem, match=f"too large: {width * height} px > limit {LIMIT}"):
        decode.decode_bytes(data, LIMIT)
    assert time.monotonic() - start < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_the_limit_is_ours_not_pillows():
    side = 400
    with pytest.raises(RejectedItem, match="too large"):
        decode.decode_bytes(encode(Image.new("L", (side, side)), "PNG"), side * side - 1)
    assert decode.decode_bytes(encode(Image.new("L", (side, side)), "PNG"), side * side).size


def test_strips_are_refused_and_one_pixel_is_not():
    with pytest.raises(RejectedItem, match="too narrow"):
        encode_and_decode(Image.new("RGB", (3, 4000)))
    assert encode_and_decode(Image.new("RGB", (1, 1))).shape == (1, 1, 3)


@pytest.mark.parametrize("percent", [1, 10, 50, 90, 99])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_truncated_files_are_refused(percent, kind):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = encode(image, kind)
    with pytest.raises(RejectedItem, match="truncated|broken|not a picture"):
        decode.decode_bytes(data[: len(data) * percent // 100], LIMIT)


def test_a_png_is_complete_where_its_compressed_pixels_are():
    data = encode(Image.fromarray(quarters()), "PNG", pnginfo=make_comment())
    whole = decode.decode_bytes(data, LIMIT)
    no_end, half_end = data[:-12], data[:-4]  # the chunk IEND, or its checksum
    no_sum = data[:-16]  # nor the checksum of the pixels' chunk
    wrong_comment = data.replace(b"hello", b"hallo")
    for content in (no_end, half_end, no_sum, wrong_comment):
        np.testing.assert_array_equal(decode.decode_bytes(content, LIMIT), whole)
    wrong_pixels = bytearray(data)
    wrong_pixels[data.index(b"IDAT") + 8] ^= 1
    for broken in (bytes(wrong_pixels), data[:-17]):  # the last byte of the pixels' own checksum
        with pytest.raises(RejectedItem, match="broken|truncated"):
            decode.decode_bytes(broken, LIMIT)


def make_comment():
    comment = PngInfo()
    comment.add_text("Title", "hello")
    return comment


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_blocks": 3}, {"quality": 95, "subsampling": 0}],
)
def test_a_jpeg_without_its_end_marker_is_read_and_a_truncated_one_is_not(options):
    data = encode(Image.fromarray(quarters(40)).resize((93, 57)), "JPEG", **options)
    whole = decode.decode_bytes(data, LIMIT)
    for complete in (data[:-1], data[:-2], data + b"\0" * 999):
        np.testing.assert_array_equal(decode.decode_bytes(complete, LIMIT), whole)
    # Also between two restart intervals, and between two scans of a progressive file.
    lengths = [
        *range(4, 60),
        *(len(data) - m.start() for m in re.finditer(rb"\xff[\xc4\xd0-\xd7\xda]", data)),
    ]
    for n in lengths:
        with pytest.raises(RejectedItem, match="truncated|broken"):
            decode.decode_bytes(data[:-n], LIMIT)


def test_a_webp_without_its_padding_or_its_remarks_is_read():
    image, exif = Image.fromarray(quarters()[:, :41]), Image.Exif()
    exif[0x0112] = 6
    plain = encode(image, "WEBP", lossless=True)
    assert plain[16] % 2 and plain[-1] == 0  # padded to an even length
    with_xmp = encode(image, "WEBP", exif=exif, xmp=b"<x>" * 9)
    for data, size in ((plain, len(plain) - 1), (with_xmp, len(with_xmp) - 9)):
        whole = decode.decode_bytes(data, LIMIT)
        np.testing.assert_array_equal(decode.decode_bytes(data[:size], LIMIT), whole)
    # Without its EXIF data it would lie on its side.
    for content in (plain[:-2], with_xmp[: with_xmp.index(b"EXIF") + 12]):
        with pytest.raises(RejectedItem, match="broken"):
            decode.decode_bytes(content, LIMIT)


def test_a_bmp_without_its_last_padding_is_read():
    data = encode(Image.fromarray(quarters(6)[:, :5]), "BMP")  # 15 bytes a row, and 1 of padding
    whole = decode.decode_bytes(data, LIMIT)
    np.testing.assert_array_equal(decode.decode_bytes(data[:-1], LIMIT), whole)
    with pytest.raises(RejectedItem, match="truncated"):
        decode.decode_bytes(data[:-2], LIMIT)


@pytest.mark.parametrize(
    "content",
    [b"x", b"<html><body>not here</body></html>", bytes(range(1, 256)), b"%PDF-1.7", b"%!PS-Adobe",
     b'<svg xmlns="http://www.w3.org/2000/svg"/>', b"II*\0\x08\0\0\0", b"GIF89a", b"\xff\xd8\xff"],
)  # fmt: skip
def test_what_is_no_picture_is_refused(content, tmp_path):
    path = tmp_path / "shoe.jpg"
    path.write_bytes(content)
    with pytest.raises(RejectedItem):
        decode.decode_file(path, LIMIT)


def test_a_format_is_that_of_the_first_bytes():
    image = Image.fromarray(quarters())
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"):
        assert formats.identify_format(encode(image, kind)[:64]) == kind
    assert formats.identify_format(encode(image, "AVIF", save_all=True, append_images=[image])[:64])
    assert formats.identify_format(b"BM, a brand of the shop, writes a letter") == ""
    assert formats.identify_format(b"\0\0\0\x18ftypmp42\0\0\0\0isommp42") == ""


def test_what_cannot_be_decoded_is_named_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "has_heic", lambda: False)
    monkeypatch.setattr(formats, "has_avif", lambda: False)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 3000
    mif1 = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 3000
    avif = encode(Image.fromarray(quarters()), "AVIF")
    names = {
        "a HEIC image": (heic, mif1),
        "an AVIF image": (avif,),
        "a Photoshop file": (b"8BPS\0",),
    }
    for name, files in names.items():
        for content in files:
            (tmp_path / "renamed.jpg").write_bytes(content)
            with pytest.raises(RejectedItem, match=f"unsupported: {name}, export as JPEG"):
                decode.decode_file(tmp_path / "renamed.jpg", LIMIT)


def test_heic_is_read_where_its_package_is_installed():
    pytest.importorskip("pillow_heif", reason="pillow-heif is not installed").register_heif_opener()
    data = encode(Image.fromarray(quarters()), "HEIF", quality=95)
    pixels = decode.decode_bytes(data, LIMIT, single_frame=True)
    assert np.abs(pixels.astype(int) - quarters()).mean() < 4
    with pytest.raises(RejectedItem, match="too large"):
        decode.decode_bytes(data, 100)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_the_first_page_of_a_tiff_is_read(compression):
    options = {"compression": compression} if compression else {}
    image, exif = Image.fromarray(quarters()), Image.Exif()
    exif[0x0112] = 6
    data = encode(image, "TIFF", save_all=True, append_images=[Image.new("L", (9, 9))], **options)
    pixels = decode.decode_bytes(data, LIMIT, single_frame=True)
    np.testing.assert_array_equal(pixels, quarters())
    upright = encode_and_decode(image, "TIFF", exif=exif, **options)
    np.testing.assert_array_equal(upright, UPRIGHT[6](quarters()))
    alpha = Image.fromarray(np.full((32, 64), 99, np.uint8))
    image.putalpha(alpha)
    assert (encode_and_decode(image, "TIFF", **options)[..., 3] == 99).all()


def test_grey_tiffs_have_white_where_it_is():
    values = np.array([[0, 257, 65535]], np.uint16)
    image = Image.fromarray(values)
    np.testing.assert_array_equal(encode_and_decode(image, "TIFF")[0, :, 0], [0, 1, 255])
    negative = encode_and_decode(image, "TIFF", tiffinfo={262: 0})  # 0 is white
    np.testing.assert_array_equal(negative[0, :, 0], [255, 254, 0])
    twelve_bits = Image.open(io.BytesIO(tiff_of_12_bits((0, 2048, 4095, 1))))
    assert twelve_bits.mode == "I;16"
    levels = decode.decode_bytes(tiff_of_12_bits((0, 2048, 4095, 1)), LIMIT)
    np.testing.assert_array_equal(levels[0, :, 0], [0, 128, 255, 0])
    with pytest.raises(RejectedItem, match="floating-point"):
        encode_and_decode(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF")


def make_tiff(tags, content):
    """A little-endian TIFF: 12 bytes a tag of one number (LONG), then the pixels."""
    offset = 8 + 2 + 12 * len(tags) + 4
    rows = [struct.pack("<HHII", tag, 4, 1, value + offset * (tag in (273, 324)))
            for tag, value in sorted(tags.items())]  # fmt: skip
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(rows) + b"\0" * 4 + content


def tiff_of_12_bits(values):
    bits = "".join(f"{value:012b}" for value in values)
    content = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = {256: len(values), 257: 1, 258: 12, 259: 1, 262: 1, 273: 0, 277: 1, 278: 1}
    return make_tiff(tags | {279: len(content)}, content)


def test_tiffs_of_cameras_with_huge_tiles_or_without_strips_are_refused():
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1}
    strips = tags | {273: 0, 278: 8, 279: 64}
    assert decode.decode_bytes(make_tiff(strips, b"\x80" * 64), LIMIT).shape == (8, 8, 1)
    refusals = {
        "camera's raw file": strips | {254: 1},
        "parts of the image are missing": strips | {278: 4},
        "a tile of 10000000000 px": tags | {259: 8, 322: 100_000, 323: 100_000, 324: 0, 325: 64},
        "too large: 2500000000 px": strips | {256: 50_000, 257: 50_000},
    }
    for reason, tags in refusals.items():
        with pytest.raises(RejectedItem, match=reason):
            decode.decode_bytes(make_tiff(tags, b"\x80" * 64), LIMIT)


def test_what_is_no_regular_file_is_refused_unopened(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    reasons = {
        "empty.jpg": "empty", "folder.png": "folder", "fifo.png": "not a regular file",
        "broken.png": "broken link", "loop.png": "unreadable", "absent.png": "no such file",
        "nul\0.png": "unreadable",
    }  # fmt: skip
    for name, reason in reasons.items():
        with pytest.raises(RejectedItem, match=reason):  # a FIFO that was opened would hang here
            decode.decode_file(tmp_path / name, LIMIT)


def test_huge_files_are_not_read(tmp_path):
    path = tmp_path / "huge.png"
    with open(path, "wb") as file:
        file.truncate(decode.MAX_FILE_BYTES + 1)
    with pytest.raises(RejectedItem, match="too large"):
        decode.decode_file(path, LIMIT)


def test_mutations_never_raise_anything_else():
    rng = np.random.default_rng(1)
    seeds = [
        encode(ImageOps.expand(Image.fromarray(quarters())), kind)
        for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF")
    ]
    for number in range(400):
        data = bytearray(seeds[number % len(seeds)])
        for place in rng.integers(0, len(data), 1 + number % 7):
            data[place] = rng.integers(256)
        try:
            pixels = decode.decode_bytes(bytes(data[: rng.integers(1, len(data) + 1)]), 1_000_000)
        except RejectedItem:
            continue
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[-1] in (1, 3, 4)
