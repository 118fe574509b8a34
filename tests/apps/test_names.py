"""Every mode that takes images, over a folder of names that are hard for a program."""

import csv
import dataclasses
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from prodgen.apps.common.output_names import name_frame, name_outputs
from prodgen.core.errors import UsageError
from prodgen.core.file_names import casefold_name, check_file_name
from prodgen.data import prepare
from prodgen.metrics.marketplace_rules import PROFILES
from prodgen.model import Model
from tests.modes import run_mode
from tests.tiny import ROOT, make_disc_photo

NAMES = [
    b"ordinary.png", "кроссовки_".encode() * 12 + b"x.jpg", b"shoe " * 49 + b"x.jpg",
    "Hu\u0308te.png".encode(), b"-n 100%.jpg", b"--out=x.jpg", b"100%s %d {0}.jpg", b"red,blue.jpg",
    b"a'b\"c;d.jpg", b" lead and trail .jpg", b"trailing dot..jpg", b"COM1.jpg", b"con.png",
    b"sch\xfch.png", b"sch\xf6h.png", b"two\nlines\t.png", b"=1+1.png", b"<b>&amp;.png",
    b"Case.png", b"case.png", b"case.jpg", b"edit.png", b"ordinary_background_classical.png",
    b"ordinary_000.png", b"ordinary_views.png", b"sub/ordinary.png", b"a:b/nul.png", b"a?b/nul.png",
    b"dots.jpg.", b"nul",
]  # fmt: skip
# Those that modes of a run, which take longer, are tested on.
FEW_NAMES = [name for name in NAMES if b"ordinary" in name or b"sch" in name or b":" in name]
# A text file, and a broken one: they end no folder.
BROKEN = {b"broken\xff.png": b"no picture", b"notes.txt": b"hello"}


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory):
    """A folder with a photo of a disc under each name of NAMES."""
    return write_photos(tmp_path_factory.mktemp("odd") / "photos", NAMES)


def write_photos(folder, names):
    content = io.BytesIO()
    Image.fromarray(make_disc_photo(72, 72)).save(content, "PNG")
    for name in names:
        path = os.path.join(os.fsencode(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(content.getvalue())
    for name, data in BROKEN.items():
        (folder / os.fsdecode(name)).write_bytes(data)
    return folder


@pytest.fixture
def run(azimuth_run, azimuth_store, monkeypatch):
    monkeypatch.setattr(Model, "store", lambda self: azimuth_store)
    monkeypatch.setattr(prepare, "open_or_prepare", lambda *_: azimuth_store)
    return azimuth_run


def read_table(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def read_manifest(folder):
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]


def as_printed(name):
    """A name in tables and manifests: a byte that is not UTF-8 stands as \\xff."""
    return name.decode("utf-8", "backslashreplace")


def assert_one_output_each(folder, outputs, names=NAMES):
    """outputs: the name of the picture -> the paths made from it, below the folder."""
    assert set(outputs) == {as_printed(name) for name in names}
    paths = [path for paths in outputs.values() for path in paths]
    assert len({casefold_name(path) for path in paths}) == len(paths)
    for path in paths:
        assert (folder / path).is_file()
        assert [check_file_name(part, 240) for part in path.split("/")] == [""] * len(
            path.split("/")
        )


@pytest.mark.parametrize(
    ("mode", "options", "column"),
    [("cutout", {}, "written"), ("gate", {"repair": True}, "mended"),
     ("edit", {"edit": "background", "background": "teal"}, "written")],
)  # fmt: skip
def test_modes_without_a_run_make_one_file_of_each_picture(
    odd_folder, tmp_path, mode, options, column, monkeypatch
):
    # The photos are too small to be repaired for a real marketplace.
    rules = dataclasses.replace(PROFILES["white_main"], min_side=48, min_native=24)
    monkeypatch.setitem(PROFILES, "white_main", rules)
    files = run_mode(mode, None, tmp_path, images=(str(odd_folder),), **options)
    rows = {row["file"].removeprefix("'"): row for row in read_table(tmp_path / f"{mode}.csv")}
    made_files = {
        name: [row[column].removeprefix("'")] for name, row in rows.items() if row[column]
    }
    assert_one_output_each(tmp_path, made_files)
    assert {row["file"][0] for row in rows.values()}.isdisjoint("=+-@")
    assert rows["broken\\xff.png"][column] == ""
    entries = read_manifest(tmp_path)
    details = [entries[path] for (path,) in made_files.values()]
    assert {entry.get("file", entry.get("of")) for entry in details} == set(made_files)
    # Ordinary names stay, those that are not valid elsewhere get a hash of their own.
    stem = Path(made_files["ordinary.png"][0]).stem
    assert stem == ("ordinary_background_classical" if mode == "edit" else "ordinary")
    assert (
        "COM1~" in made_files["COM1.jpg"][0] and "two_lines_~" in made_files["two\nlines\t.png"][0]
    )
    assert all(path.exists() for path in files)


def test_modes_of_a_run_make_files_of_each_picture(run, tmp_path, capsys):
    images = (str(write_photos(tmp_path / "photos", FEW_NAMES)),)
    run_mode("vary", run, tmp_path / "vary", input=images, n=1, products=99, steps=1, guard=False)
    run_mode("views", run, tmp_path / "views", input=images, n=99, frames=2, steps=1)
    for mode, count in (("vary", 1), ("views", 2)):
        outputs = {}
        for path, entry in read_manifest(tmp_path / mode).items():
            if "of" in entry:
                outputs.setdefault(entry["of"], []).append(path)
        assert {len(paths) for paths in outputs.values()} == {count}
        assert_one_output_each(tmp_path / mode, outputs, FEW_NAMES)
    run_mode("invert", run, tmp_path / "invert.png", input=images, n=99, steps=1)
    run_mode("reconstruct", run, tmp_path / "reconstruct.png", input=images, n=99)
    names = {as_printed(name) for name in FEW_NAMES}
    for mode in ("invert", "reconstruct"):
        entry = read_manifest(tmp_path)[f"{mode}.png"]
        assert {picture["name"] for picture in entry["pictures"]} == names
    assert {row["file"].removeprefix("'") for row in read_table(tmp_path / "invert.csv")} == names
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith(r"left out: broken\xff.png: ") for line in lines) == 4
    assert lines.count("left out, no images: notes.txt") == 4


def test_tables_name_any_photo(run, odd_folder, tmp_path):
    """The photos of a batch, and the pictures of a history, that a table in UTF-8 can name."""
    names = [
        name.decode() for name in NAMES if b"sch" not in name and name != b" lead and trail .jpg"
    ]
    with open(odd_folder / "requests.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("name", "photo", "edit"), *((f"p{i}", x, "background") for i, x in enumerate(names))]
        )
    with open(odd_folder / "history.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("picture", "event"), *((x, "bought") for x in names)])
    try:
        table, history = (str(odd_folder / f"{x}.csv") for x in ("requests", "history"))
        run_mode("batch", run, tmp_path / "batch", table=table)
        run_mode("personalise", run, tmp_path / "one", history=history, n=1, steps=1)
    finally:
        (odd_folder / "requests.csv").unlink()
        (odd_folder / "history.csv").unlink()
    lines = [json.loads(line) for line in (tmp_path / "batch" / "manifest.jsonl").open()]
    assert [line["of"] for line in lines] == names
    assert read_table(tmp_path / "batch" / "problems.csv") == []
    taste = json.loads((tmp_path / "one" / "taste.json").read_text())
    assert [x["product"] for x in taste["history"]] == names and taste["refused"] == []


def test_sprites_of_any_name_have_a_frame_each(odd_folder, tmp_path):
    target = tmp_path / "sheet.png"
    run_mode(
        "compose", None, target, images=(str(odd_folder),), layout="sprites", cell=16, padding=0
    )
    frames = json.loads((tmp_path / "sheet.json").read_text())["frames"]
    assert sorted(frame["file"] for frame in frames.values()) == sorted(map(as_printed, NAMES))
    assert frames["sub/ordinary"]["file"] == "sub/ordinary.png"


def test_the_commands_print_any_name(odd_folder, tmp_path):
    """An out folder that is not UTF-8, a path with a comma twice, standard output in ASCII."""
    out = tmp_path / os.fsdecode(b"\xfc\n")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    flags = [f"--images={odd_folder / x}" for x in ("red,blue.jpg", "--out=x.jpg")]
    command = [sys.executable, ROOT / "run_sample.py", "--mode=cutout", *flags, f"--out={out}"]
    process = subprocess.run(command, capture_output=True, env=environment, text=True)
    assert (process.returncode, process.stderr) == (0, "2 of 2 cut out\n")
    assert sorted(path.name for path in (out / "cut").iterdir()) == ["--out=x.png", "red,blue.png"]
    command[3:-1] = ["--images=none-%s-{0}" + os.fsdecode(b"\xff\n")]
    process = subprocess.run(command, capture_output=True, env=environment, text=True)
    assert process.returncode == 66 and process.stderr.count("\n") == 1


def test_a_file_of_the_user_with_the_name_of_an_output_stays(run, odd_folder):
    """--out is the folder of the pictures, in which one is called as an output would be."""
    images, before = (str(odd_folder),), (odd_folder / "ordinary_000.png").read_bytes()
    for mode, workdir, options in (
        ("edit", None, {"edit": "background"}),
        ("vary", run, {"n": 1, "products": 99}),
        ("views", run, {"n": 99}),
    ):
        option = "images" if mode == "edit" else "input"
        with pytest.raises(UsageError, match="exists, and this mode did not write it"):
            run_mode(mode, workdir, odd_folder, **{option: images}, **options)
    assert (odd_folder / "ordinary_000.png").read_bytes() == before
    assert not (odd_folder / "manifest.json").exists()


def test_a_new_picture_renames_no_other():
    before = ["a.jpg", "b.webp", "Case.jpg", "sub/a.jpg", "c", "d.png"]
    names = name_outputs(before)
    assert names == ["a", "b", "Case", "sub/a", "c", "d"]
    after = [
        *before,
        "a.png",
        "a-2.png",
        "b.jpg",
        "case.jpg",
        "A.jpg",
        "Sub/A.jpg",
        "c.jpg",
        "a.jpg.png",
    ]
    earlier_outputs = {name: f"{stem}_edit.png" for name, stem in zip(before, names, strict=True)}
    new_names = name_outputs(after, earlier_outputs)
    assert new_names[: len(before)] == names
    assert new_names[len(before) :][:3] == ["a.png", "a-2", "b.jpg"]
    assert len({casefold_name(name) for name in new_names}) == len(after)
    # A picture that leaves gives its name to no other.
    earlier_outputs = {name: f"{stem}.png" for name, stem in zip(after, new_names, strict=True)}
    assert name_outputs(after[1:], earlier_outputs) == new_names[1:]
    # Without an earlier command, PNG files come first and lower case comes before upper case.
    assert name_outputs(["A.jpg", "a.jpg", "a.png"])[1:] == ["a.jpg", "a"]


def test_a_new_picture_renames_no_output_of_an_earlier_command(tmp_path):
    (tmp_path / "in").mkdir()
    image = Image.fromarray(make_disc_photo(72, 72))
    for names in (("a.jpg", "Shoe.jpg"), ("a.png", "shoe.jpg", "b.webp")):
        for name in names:
            image.save(tmp_path / "in" / name)
        run_mode("cutout", None, tmp_path / "cutout", images=(str(tmp_path / "in"),))
    rows = {row["file"]: row["written"] for row in read_table(tmp_path / "cutout" / "cutout.csv")}
    assert rows == {
        "a.jpg": "cut/a.png", "Shoe.jpg": "cut/Shoe.png", "a.png": "cut/a.png.png",
        "shoe.jpg": "cut/shoe.jpg.png", "b.webp": "cut/b.png",
    }  # fmt: skip
    entries = read_manifest(tmp_path / "cutout")
    assert {entries[path]["file"]: path for path in rows.values()} == rows


def test_a_frame_is_named_by_its_own_file_alone(tmp_path):
    """Each frame shows the colour of its file; new pictures rename none."""
    files = {
        "01-2": "01-2.png", "idle/01": "idle/01.png", "idle/02": "idle/02.png",
        "walk/01.jpg": "walk/01.jpg", "walk/01": "walk/01.png", "walk/02": "walk/02.png",
    }  # fmt: skip
    later_files = {"01": "01.png", "idle/01.jpg": "idle/01.jpg", "IDLE/01": "IDLE/01.png"}

    def compose_sheet(files):
        for i, file in enumerate(files.values()):
            (tmp_path / "in" / file).parent.mkdir(parents=True, exist_ok=True)
            image = make_disc_photo(40, 40, (20 * i, 90, 200 - 20 * i))
            Image.fromarray(image).save(tmp_path / "in" / file, quality=95)
        target, images = tmp_path / "sheet.png", (str(tmp_path / "in"),)
        run_mode("compose", None, target, images=images, layout="sprites", cell=64)
        frames = json.loads((tmp_path / "sheet.json").read_text())["frames"]
        assert {name: frame["file"] for name, frame in frames.items()} == files
        for i, name in enumerate(files):
            box = frames[name]["frame"]
            middle = box["x"] + box["w"] // 2, box["y"] + box["h"] // 2
            assert Image.open(target).getpixel(middle)[0] == pytest.approx(20 * i, abs=4)

    compose_sheet(files)
    compose_sheet(files | later_files)
    odd_names = ["a", "a.png", "a.PNG", "a.jpg", "a.jpg.png", "a.jpg.jpg", "/../a.png", "a//b.png",
                 f"{'d' * 250}/" * 9 + "e.png", f"{'d' * 250}/" * 8 + "e.png"]  # fmt: skip
    frames = {name_frame(name) for name in odd_names}
    assert len(frames) == len(odd_names) and max(map(len, frames)) < 1000


def test_several_paths_are_named_below_the_folder_that_they_share(tmp_path):
    for name in ("idle/01.png", "walk/01.png", "walk/a,b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(make_disc_photo(40, 40)).save(tmp_path / name)
    target = tmp_path / "out" / "sheet.png"
    values = (f"{tmp_path}/idle,{tmp_path}/walk/01.png", f"{tmp_path}/walk/a,b.png")
    run_mode("compose", None, target, images=values, layout="sprites", cell=16, padding=0,
             recolour=("original", "red"))  # fmt: skip
    frames = json.loads((tmp_path / "out" / "sheet.json").read_text())["frames"]
    assert list(frames) == ["idle/01", "idle/01-red", "walk/01", "walk/01-red", "walk/a,b",
                            "walk/a,b-red"]  # fmt: skip
