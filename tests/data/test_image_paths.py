"""A path of a table leads to its file in any spelling, and never to a guess among several."""

import unicodedata

import pytest

from prodgen.data.image_paths import ImagePaths


@pytest.fixture
def find(tmp_path):
    """find(path) -> (file below the root or "", reason) among a few files."""
    root = tmp_path / "shop"
    files = (
        "images/15000.jpg", "images/a&b.png", "w/b/wb01.jpg", "Hats/Blue.JPG", "two/x.png",
        "two/x.jpg", "up/K.png", "up/k.png", "other/only.webp", "images/one,two.png",
        unicodedata.normalize("NFD", "größe 1.png"),
    )  # fmt: skip
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x")
    (tmp_path / "secret.png").write_bytes(b"x")
    paths = ImagePaths(root)

    def find(path):
        file, reason = paths.find(path)
        return file.removeprefix(f"{root}/"), reason

    find.paths = paths
    return find


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("images/15000.jpg", "images/15000.jpg"),
        ("15000.jpg", "images/15000.jpg"),
        ("15000", "images/15000.jpg"),
        ("images\\15000.jpg", "images/15000.jpg"),
        ("images/a&amp;b.png", "images/a&b.png"),
        ("/w/b/wb01.jpg", "w/b/wb01.jpg"),
        ("hats/blue.jpg", "Hats/Blue.JPG"),
        ("größe 1.png", unicodedata.normalize("NFD", "größe 1.png")),
        ("C:\\Users\\me\\photos\\Hats\\Blue.jpg", "Hats/Blue.JPG"),
        ("https://cdn.shop.com/s/files/wb01.jpg?v=12", "w/b/wb01.jpg"),
        ("https://x.com/gr%C3%B6%C3%9Fe%201.png", unicodedata.normalize("NFD", "größe 1.png")),
        ("up/K.png", "up/K.png"),
    ],
)  # fmt: skip
def test_a_path_is_found(find, path, file):
    assert find(path) == (file, "")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "missing: no path in the row"),
        ("gone.png", "missing: no such file"),
        ("two/x", "missing: it could be two/x.jpg, two/x.png; write one of them"),
        ("UP/K.PNG", "missing: it could be up/K.png, up/k.png; write one of them"),
        (
            "only.jpg",
            "missing: no such file; other/only.webp is there: write that path in the table",
        ),
        ("wb01.jpg", "missing: no such file; w/b/wb01.jpg is there: write that path in the table"),
        ("../secret.png", "outside: the path leaves the table's folder"),
        ("/etc/passwd", "outside: the path leaves the table's folder"),
        ("https://shop.com/gone.jpg", "missing: a web address; download the images first"),
        ("nul\0.png", "missing: no such file"),
    ],
)
def test_a_path_that_is_not_found_says_why(find, path, reason):
    assert find(path) == ("", reason)


def test_what_was_not_the_files_own_spelling_is_counted(find):
    for path in ("15000.jpg", "15000", "hats/blue.jpg", "größe 1.png"):
        find(path)
    assert find.paths.matches == {
        "without their suffix": 1, "by case or spelling": 1, "by another Unicode spelling": 1,
    }  # fmt: skip
