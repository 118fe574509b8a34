"""What a PNG says about itself, read back with Pillow."""

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from prodgen.core import pixels, provenance

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.mark.parametrize("source", provenance.DIGITAL_SOURCE_TYPES)
def test_a_file_says_whether_a_model_had_a_part_in_it(tmp_path, source):
    path = tmp_path / "a.png"
    path.write_bytes(
        pixels.encode_png(PICTURE, provenance.build_png_text(source, "run 1a2b, step 3, seed 4"))
    )
    with Image.open(path) as image:
        assert image.text["prodgen"] == f"{source}; run 1a2b, step 3, seed 4"
        assert image.text["Software"] == "prodgen"
        kind = provenance.DIGITAL_SOURCE_TYPES[source]
        if kind:  # as programs that know XMP read it
            (description,) = ElementTree.fromstring(image.info["xmp"].strip())[0]
            source_type = description.get(
                "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
            )
            assert source_type == f"http://cv.iptc.org/newscodes/digitalsourcetype/{kind}"
        np.testing.assert_array_equal(np.asarray(image), PICTURE)
    assert provenance.is_generated(path) == bool(kind)


def test_an_animation_says_it_too(tmp_path):
    content = pixels.encode_apng(
        [PICTURE, 255 - PICTURE], text=provenance.build_png_text("generated", "run 1")
    )
    (tmp_path / "a.png").write_bytes(content)
    image = Image.open(io.BytesIO(content))
    assert image.n_frames == 2 and image.text["prodgen"] == "generated; run 1"
    assert provenance.is_generated(tmp_path / "a.png")


def test_a_jpeg_of_another_program_is_understood(tmp_path):
    xmp = provenance.build_png_text("generated", "")[provenance.XMP_KEY].encode()
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", xmp=xmp)
    Image.fromarray(PICTURE).save(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").write_text("no picture")
    are_generated = [provenance.is_generated(tmp_path / f"{x}.jpg") for x in "abc"]
    assert are_generated == [True, False, False]


@pytest.mark.parametrize("tone", [0, 127, 255])
@pytest.mark.parametrize(
    "shape", [(24, 24, 1), (28, 28, 3), (64, 64, 3), (400, 600, 3), (90, 728, 4)]
)
def test_a_mark_is_in_the_corner_and_stands_out(tone, shape):
    picture = np.full(shape, tone, np.uint8)
    labelled_image = np.asarray(pixels.draw_ai_label(picture)).reshape(shape)
    changed_pixels = (labelled_image != picture).any(axis=2)
    rows, columns = shape[0] // 2, shape[1] // 4
    assert not changed_pixels[:rows].any() and not changed_pixels[:, :columns].any()
    corner = labelled_image[rows:, columns:, :3]
    assert (corner == 0).any() and (corner > 200).any()  # white letters on a black plate
    assert labelled_image[-1, -1, 0] == 0


def test_a_picture_too_small_for_a_mark_is_said():
    with pytest.raises(ValueError, match="16 x 30 px is too small"):
        pixels.draw_ai_label(np.zeros((30, 16, 3), np.uint8))
