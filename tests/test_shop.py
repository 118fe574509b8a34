"""prodgen.cut_out, recolour, background, check, compose: one photo or many; wrong arguments."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

import prodgen
from prodgen.core.errors import BadData, UsageError
from tests.tiny import ROOT, make_disc_photo

RED, TEAL = make_disc_photo(96, 96), make_disc_photo(80, 96, (40, 148, 146))
EMPTY = np.full((64, 64, 3), 255, np.uint8)


def test_one_photo_gives_one_result_and_many_give_a_list(tmp_path):
    Image.fromarray(RED).save(tmp_path / "red.png")
    one, (from_file, other) = prodgen.cut_out(RED), prodgen.cut_out([tmp_path / "red.png", TEAL])
    assert one.rgba.shape == (96, 96, 4) and other.rgba.shape == (80, 96, 4)
    np.testing.assert_array_equal(one.rgba, from_file.rgba)
    stack = prodgen.background(np.stack([RED, RED]), "#203a5f", shadow=0.0)
    assert len(stack) == 2 and tuple(stack[1][0, 0]) == (0x20, 0x3A, 0x5F)
    np.testing.assert_array_equal(stack[0], prodgen.background(RED, (0x20, 0x3A, 0x5F), 0.0))
    assert prodgen.cut_out([]) == []


def test_a_photo_is_recoloured_checked_and_composed():
    result = prodgen.recolour(RED, "teal")
    assert result.ciede2000 < 3 and result.doubts == () and result.area.fraction > 0.9
    assert "background" not in prodgen.check(RED).keys
    advert = prodgen.compose(RED, size="landscape", headline="Sale", button="Buy")
    assert advert.shape == (628, 1200, 3) and (advert[300:500, 600:] != 255).any()


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: prodgen.cut_out(RED, "plane"), UsageError, "method='plane' is not known"),
        (lambda: prodgen.cut_out(RED / 255), UsageError, "photo 0 must be uint8"),
        (lambda: prodgen.cut_out([RED, RED[..., :2]]), UsageError, "photo 1 must be uint8"),
        (lambda: prodgen.cut_out([RED, EMPTY]), BadData, "photo 1: no_product"),
        (lambda: prodgen.cut_out("nothing.png"), BadData, "photo 0: "),
        (lambda: prodgen.recolour(RED, "tael"), UsageError, "colour='tael' is not a colour"),
        (lambda: prodgen.recolour(RED, (1, 2, 300)), UsageError, "is no colour"),
        (lambda: prodgen.recolour(RED, "teal", strength=3), UsageError, "strength=3 is no number"),
        (lambda: prodgen.recolour(RED, "teal", source="green"), BadData, "no part of the product"),
        (lambda: prodgen.recolour(RED, "teal", point=(1, 1)), BadData, "outside the product"),
        (lambda: prodgen.background(RED, shadow=2), UsageError, "shadow=2 is no number"),
        (lambda: prodgen.check(RED, "amazone"), UsageError, "profile='amazone' is not known"),
        (lambda: prodgen.compose(RED, "pair"), UsageError, "layout=pair takes 2 to 2 photos"),
        (lambda: prodgen.compose(RED, size="storry"), UsageError, "size='storry' is not known"),
        (lambda: prodgen.compose(RED, headline="漢字"), UsageError, "headline: the font has no"),
        (lambda: prodgen.compose(RED, size="320x50", headline="A " * 99), UsageError, "not fit"),
        (lambda: prodgen.compose(RED, "poster"), UsageError, "layout='poster' is not known"),
        (lambda: prodgen.cut_out(None), UsageError, "photos=None is no photo"),
        (lambda: prodgen.cut_out(RED, method=3), UsageError, "method=3 is no text"),
        (lambda: prodgen.recolour(RED, "teal", point="1,1"), UsageError, "is no point (x, y)"),
        (lambda: prodgen.recolour(RED, "teal", point=(1.5, 2)), UsageError, "is no point (x, y)"),
        (lambda: prodgen.recolour(RED, "teal", "red", (1, 1)), UsageError, "source and point say"),
        (lambda: prodgen.check(RED, 5), UsageError, "profile=5 is no text"),
        (lambda: prodgen.compose(RED, "heroo"), UsageError, "did you mean hero?"),
        (lambda: prodgen.compose(RED, shadow=3), UsageError, "shadow=3 is no number"),
        (lambda: prodgen.compose(RED, headline=5), UsageError, "headline=5 is no text"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named_in_one_line(call, kind, words):
    with pytest.raises(kind) as error:
        call()
    assert words in str(error.value) and "\n" not in str(error.value)
    assert "--" not in error.value.format_line()


def test_doubts_that_a_result_cannot_hold_are_warnings_that_name_the_photo(tmp_path):
    two = np.vstack([RED, RED])  # two pieces of similar size
    Image.fromarray(two).save(tmp_path / "two.png")
    doubt = "DOUBTFUL cut-out: several: 2 pieces"
    with pytest.warns(UserWarning, match=rf"photo 1 \(two.png\): {doubt}") as records:
        results = prodgen.background([RED, tmp_path / "two.png"], shadow=0.0)
    assert len(results) == 2 and len(records) == 1 and records[0].filename == __file__
    at_left = np.dstack([RED, np.zeros((96, 96), np.uint8)])
    at_left[20:80, :60, 3] = 255
    with pytest.warns(UserWarning) as records:
        prodgen.compose([two, at_left], "grid", size="480x480")
    messages = [str(record.message) for record in records]
    assert len(messages) == 2 and messages[0].startswith(f"photo 0: {doubt}")
    assert "photo 1: DOUBTFUL place: its photo cuts it off on the left" in messages[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prodgen.compose([at_left, at_left[:, ::-1]], "pair", size="480x480")
        prodgen.background(RED)


def test_photos_need_no_jax():
    code = "import sys, prodgen; prodgen.cut_out; assert 'jax' not in sys.modules, 'jax'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
