"""Alt texts: what a title has already is not repeated, and none is longer than 125 characters."""

import pytest

from prodgen.apps.common.alt_text import MAX_LENGTH, write_alt_text


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (("Linen shirt", "Shirts", "blue"), "Linen shirt, blue"),
        (("Linen shirt", "Tops", "Blue"), "Linen shirt, blue, tops"),
        (("Blue linen shirt", "Tops", "blue"), "Blue linen shirt, tops"),
        (("", "Tops", ""), "Tops"),
        (("Mug <b>large</b>", "", ""), "Mug large"),
        (("Linen shirt", "Shirts", "blue", "view 2"), "Linen shirt, blue, view 2"),
        (("Blue linen shirt", "", "blue", "", "teal"), "Teal linen shirt"),
        (("Linen shirt", "", "blue", "", "teal"), "Linen shirt, teal"),
    ],
)
def test_texts(cells, text):
    assert write_alt_text(*cells) == text


def test_a_long_title_is_cut_at_a_space_and_the_endings_stay():
    title = "word " * 60
    text = write_alt_text(title, "Shirts", "blue", "close-up")
    assert len(text) <= MAX_LENGTH and text.endswith("word, blue, shirts, close-up")
    assert len(write_alt_text("x" * 300, "y" * 300, "z" * 300, "view 2")) <= MAX_LENGTH
