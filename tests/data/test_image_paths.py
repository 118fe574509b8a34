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


NFC, NFD = (unicodedata.normalize(form, "größe.jpg") for form in ("NFC", "NFD"))
CDN = "https://cdn.x.com"


@pytest.fixture
def find_all(tmp_path):
    """find_all(files, paths) -> {path: file or reason}, the same in either order of the paths."""

    def find_all(files, paths):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(b"x")
        results = []
        for ordered_paths in (paths, paths[::-1]):
            finder = ImagePaths(tmp_path)
            finder.declare(ordered_paths)
            pairs = {path: finder.find(path) for path in ordered_paths}
            results.append(
                {p: f.removeprefix(f"{tmp_path}/") or reason for p, (f, reason) in pairs.items()}
            )
        assert results[0] == results[1]
        return results[0]

    return find_all


@pytest.mark.parametrize(
    ("files", "paths"),
    [
        # {path: its file, or None where it must be refused}
        (
            ["1001/main.jpg"],
            {f"{CDN}/1002/main.jpg": None, f"{CDN}/1001/main.jpg": "1001/main.jpg"},
        ),
        (["main.jpg"], {f"{CDN}/1002/main.jpg": None, f"{CDN}/1001/main.jpg": None}),
        (
            ["main.jpg", "1001/main.jpg"],
            {f"{CDN}/1002/main.jpg": None, f"{CDN}/1001/main.jpg": "1001/main.jpg"},
        ),
        (
            ["photos/1001/main.jpg", "photos/1002/main.jpg"],
            {f"{CDN}/p/{n}/main.jpg": f"photos/{n}/main.jpg" if n < 1003 else None
             for n in (1001, 1002, 1003)},
        ),
        (["a.jpg"], {"https://front.x.com/a.jpg": None, "https://back.x.com/a.jpg": None}),
        (
            ["front.x.com/a.jpg", "back.x.com/a.jpg"],
            {f"https://{host}/a.jpg": f"{host}/a.jpg" for host in ("front.x.com", "back.x.com")},
        ),
        (["a.jpg"], {f"{CDN}/a.jpg?v=1": "a.jpg", f"{CDN}/a.jpg?v=2": "a.jpg"}),
        (["a.jpg"], {f"{CDN}/a.jpg?id=1": None, f"{CDN}/a.jpg?id=2": None}),
        (["a.jpg"], {f"{CDN}/a?v=1": None, f"{CDN}/a?v=2": None}),
        (["hat.jpg"], {"Hat.jpg": None, "hat.jpg": "hat.jpg", "hat": None}),
        (["hat.jpg", "Hat.jpg"], {"Hat.jpg": "Hat.jpg", "hat.jpg": "hat.jpg"}),
        (["HAT.JPG"], {"Hat.jpg": None, "hat.jpg": None}),
        ([NFD], {NFC: None, NFD: NFD}),
        ([NFC, NFD], {NFC: NFC, NFD: NFD}),
        (["red shoe.jpg"], {"red%20shoe.jpg": None, "red shoe.jpg": "red shoe.jpg"}),
        (["w/b/wb01.jpg"], {f"{CDN}/wb01.jpg": None, "w/b/wb01.jpg": "w/b/wb01.jpg"}),
        (["a.jpg"], {"C:\\one\\a.jpg": None, "D:\\two\\a.jpg": None}),
    ],
    ids=str,
)  # fmt: skip
def test_no_path_takes_the_image_of_another(find_all, files, paths):
    results = find_all(files, list(paths))
    assert {
        p: None if result.startswith("missing") else result for p, result in results.items()
    } == (paths)


@pytest.mark.parametrize(
    ("file", "path", "is_match"),
    [
        ("1001/main.jpg", "/p/1002/main.jpg", False),
        ("shoes/red/main.jpg", "/hats/red/main.jpg", False),
        ("a/b/x.jpg", "/b/a/x.jpg", False),
        ("1/10.jpg", "/p/2/10.jpg", False),  # the tenth image of product 1
        ("product-images/raw/x.jpg", "/s/x.jpg", True),
        ("hats/full/x.jpg", "/shop/hats/v2/x.jpg", True),
        ("1/0/1001.jpg", "/s/1001.jpg", True),
    ],
)
def test_the_folders_of_a_file_agree_with_the_path(find_all, file, path, is_match):
    refusal = f"missing: no such file; {file} is there: write that path in the table"
    assert find_all([file], [CDN + path]) == {CDN + path: file if is_match else refusal}


def test_a_refusal_names_the_file_that_several_paths_could_mean(find_all):
    results = find_all(["main.jpg"], [f"{CDN}/{n}/main.jpg" for n in range(3)])
    assert set(results.values()) == {
        "missing: no such file; 3 different paths could mean main.jpg: write that path in the table"
    }


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("red%20shoe.jpg", "red shoe.jpg"),
        ("RED%20shoe.jpg", "red shoe.jpg"),
        ("/media/red%20shoe.jpg", "red shoe.jpg"),
        ("file:///home/me/red%20shoe.jpg", "red shoe.jpg"),
        ("file:///C:/me/red%20shoe.jpg", "red shoe.jpg"),
        ("100%25.jpg", "100%25.jpg"),
        ("50%25.jpg", "50%.jpg"),
    ],
)
def test_percent_signs_are_decoded_where_no_file_has_them(find_all, path, file):
    assert find_all(["red shoe.jpg", "100%25.jpg", "100%.jpg", "50%.jpg"], [path]) == {path: file}


def test_a_way_out_of_the_folder_images_leads_nowhere(find_all):
    refusal = "outside: the path leaves the table's folder"
    assert find_all(["a.jpg"], ["../a.jpg"]) == {"../a.jpg": refusal}
