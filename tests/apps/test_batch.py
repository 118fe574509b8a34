"""--mode=batch: killed and restarted it redoes nothing, and ends with the same bytes."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import prodgen
from prodgen.apps.common import batch_progress, batch_rows
from prodgen.core import provenance
from prodgen.core.errors import BadData, UsageError
from prodgen.data.conditions import Conditions
from prodgen.editing import batch_requests, guard, photo_edits
from prodgen.model import Model, load
from tests import modes
from tests.modes import run_mode
from tests.tiny import make_disc_photo

TABLE = """\
name,category,photo,attributes,seed,count,size,background,edit,strength,keep,colour,method
reds,disc,,colour=red,3,70,,,,,,,
large,square,,,1,2,64,,,,,,
wrong,triangle,,,,,,,,,,,
mine,,photo.png,,2,3,,,vary,0.6,category,,
reds,disc,,,,,,,,,,,
around,,photo.png,,,4,,,views,,,,
teal,,shop/mug.png,,,,,,recolour,,,teal,
blue,,shop/mug.png,,,,,,recolour,,,blue,generated
wood,,shop/mug.png,,,,,wood.png,background,,,,
"""


@pytest.fixture(scope="module")
def run(turned_run):
    return turned_run


@pytest.fixture
def shop(turned, tmp_path, monkeypatch):
    """A folder with a table and the pictures that it names."""
    monkeypatch.setattr(Model, "store", lambda self: turned)
    picture = turned.fetch(turned.ids("test")[:1])["image"][0]
    Image.fromarray(picture).save(tmp_path / "photo.png")
    (tmp_path / "shop").mkdir()
    Image.fromarray(make_disc_photo(72, 96)).save(tmp_path / "shop" / "mug.png")
    Image.fromarray(np.full((40, 40, 3), (120, 80, 40), np.uint8)).save(tmp_path / "wood.png")
    (tmp_path / "requests.csv").write_text(TABLE)
    return tmp_path


def ask(run, shop, out, **options):
    table = str(shop / "requests.csv")
    return run_mode("batch", run, shop / out, table=table, steps=4, **options)


def write(shop, *batch_rows):
    """A table of {column: cell}."""
    with open(shop / "requests.csv", "w", newline="") as file:
        table = csv.DictWriter(file, batch_requests.COLUMNS)
        table.writeheader()
        table.writerows(batch_rows)


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def manifest(folder):
    return {(line := json.loads(text))["file"]: line for text in (folder / "manifest.jsonl").open()}


def problems(folder):
    text = (folder / "problems.csv").read_text(encoding="utf-8-sig")
    return {int(row["line"]): row["problem"] for row in csv.DictReader(io.StringIO(text))}


def shown(shop, name):
    return np.asarray(Image.open(shop / "out" / name).convert("RGB"))


def test_a_killed_job_goes_on_and_ends_with_the_same_bytes(run, shop, monkeypatch, capsys):
    ask(run, shop, "whole")
    whole = content(shop / "whole")
    assert len(whole) == 82 + 2
    put = batch_progress.BatchProgress.write_image
    for after in (40, 80):  # among the samples, among the edits
        folder, done = shop / f"parts{after}", []

        def dies(self, file, *given, done=done, after=after):
            if len(done) == after:
                raise KeyboardInterrupt
            done.append(file)
            return put(self, file, *given)

        monkeypatch.setattr(batch_progress.BatchProgress, "write_image", dies)
        with pytest.raises(KeyboardInterrupt):
            ask(run, shop, folder.name)
        monkeypatch.setattr(batch_progress.BatchProgress, "write_image", put)
        before = {p: p.stat().st_mtime_ns for p in folder.glob("*.png")}
        (folder / sorted(done)[0]).write_bytes(b"cut short")
        capsys.readouterr()
        ask(run, shop, folder.name)
        assert content(folder) == whole
        said = f"{after - 1} images are there, {83 - after} are to be made"
        assert said in capsys.readouterr().err
        kept = [p for p, time in before.items() if p.stat().st_mtime_ns == time]
        assert len(kept) == after - 1


def test_each_picture_is_the_runs_own_and_says_so(run, shop):
    ask(run, shop, "out")
    model = prodgen.load(run)
    expected = model.sample(70, seed=3, label="disc", attributes={"colour": "red"})
    for k in (0, 63, 64, 69):
        shown = np.asarray(Image.open(shop / "out" / f"reds_{k:03d}.png"))
        np.testing.assert_array_equal(shown, expected[k])
    assert Image.open(shop / "out" / "large_001.png").size == (64, 64)
    assert provenance.is_generated(shop / "out" / "reds_000.png")
    lines = manifest(shop / "out")
    assert list(lines)[:2] == ["reds_000.png", "reds_001.png"] and len(lines) == 82
    assert lines["reds_000.png"]["label"] == "disc"
    assert len(lines["reds_000.png"]["latent"]) == 4 and "inputs" not in lines["reds_000.png"]
    assert {line["of"] for name, line in lines.items() if name[:4] == "mine"} == {"photo.png"}


def test_bad_rows_are_told_by_line_and_stop_nothing(run, shop):
    ask(run, shop, "out", guard=False)
    found = problems(shop / "out")
    assert "disc, square" in found.pop(4) and "'reds' already" in found.pop(6) and not found


def test_a_changed_row_is_made_anew_and_the_others_stay(run, shop):
    (shop / "requests.csv").write_text("name,seed\na,1\nb,1\n")
    ask(run, shop, "out")
    first = content(shop / "out")
    (shop / "requests.csv").write_text("name,seed\nb,1\na,2\n")
    times = (shop / "out" / "b_000.png").stat().st_mtime_ns
    ask(run, shop, "out")
    second = content(shop / "out")
    assert first["a_000.png"] != second["a_000.png"] and first["b_000.png"] == second["b_000.png"]
    assert (shop / "out" / "b_000.png").stat().st_mtime_ns == times


def test_copies_of_training_pictures_are_refused(run, shop, turned, monkeypatch):
    copy = turned.fetch(turned.ids("train")[:1])["image"][0]
    made = Model.decode

    def copies(self, z, conditions=None):
        pictures = made(self, z, conditions).copy()
        pictures[0] = copy
        return pictures

    monkeypatch.setattr(Model, "decode", copies)
    (shop / "requests.csv").write_text("name,count\na,3\n")
    ask(run, shop, "out")
    assert not (shop / "out" / "a_000.png").exists() and (shop / "out" / "a_001.png").exists()
    assert problems(shop / "out")[2].startswith("a_000.png: a copy of training picture ")


def test_variations_of_which_only_copies_are_left_are_refused(run, shop, monkeypatch):
    everything = lambda self, own: lambda pictures: np.ones(len(pictures), bool)  # noqa: E731
    monkeypatch.setattr(guard.Guard, "refusal_fn", everything)
    write(shop, {"name": "a", "photo": "photo.png", "edit": "vary"}, {"name": "b"})
    ask(run, shop, "out")
    said = "a_000.png: all further variations are copies of training pictures"
    assert problems(shop / "out") == {2: said} and not (shop / "out" / "a_000.png").exists()
    assert manifest(shop / "out")["a_000.png"]["refused"] == said


def test_a_users_own_files_are_left_alone(run, shop):
    (shop / "requests.csv").write_text("name\na\n")
    (shop / "out").mkdir()
    (shop / "out" / "a_000.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match="did not write it"):
        ask(run, shop, "out")
    assert (shop / "out" / "a_000.png").read_bytes() == b"mine"


def test_a_table_without_a_good_row_is_an_error(run, shop):
    (shop / "requests.csv").write_text("category\ntriangle\n")
    with pytest.raises(BadData, match="no image"):
        ask(run, shop, "out")


def test_latents_of_many_seeds_are_those_of_each(run):
    model = prodgen.load(run)
    found = model.draw([5, 5, 9], [0, 3, 1])
    expected = [model.latents(np.array([i]), s)[0] for s, i in ((5, 0), (5, 3), (9, 1))]
    np.testing.assert_array_equal(found, expected)


def test_edits_are_those_of_mode_edit_and_classical_ones_need_no_more(run, shop, monkeypatch):
    monkeypatch.setattr(Model, "open_inverter", None)
    photo = {"photo": "shop/mug.png"}
    write(
        shop,
        photo | {"name": "teal", "edit": "recolour", "colour": "teal"},
        photo | {"name": "small", "edit": "recolour", "colour": "teal", "size": "48"},
        photo | {"name": "wood", "edit": "background", "background": "wood.png"},
        photo | {"name": "plain", "edit": "background"},
    )
    ask(run, shop, "out")
    for name, options in {
        "teal": {"edit": "recolour", "colour": "teal", "method": "classical"},
        "wood": {"edit": "background", "background": str(shop / "wood.png")},
        "plain": {"edit": "background"},
    }.items():
        assert_as_edited(shop, name, None, **options)
    small = Image.open(shop / "out" / "small_000.png")
    assert small.size == (48, 36)
    said = small.text["prodgen"]
    assert said.startswith("composed; run ") and said.endswith("seed 0, mode batch")
    assert not provenance.is_generated(shop / "out" / "wood_000.png")
    lines = manifest(shop / "out")
    teal = lines["teal_000.png"]
    assert teal["ciede2000"] < 3 < teal["ciede2000_before"] and teal["outside_largest"] <= 1
    assert (teal["of"], teal["edit"], teal["method"]) == ("shop/mug.png", "recolour", "classical")
    assert set(teal["inputs"]) == {"shop/mug.png"}
    assert set(lines["wood_000.png"]["inputs"]) == {"shop/mug.png", "wood.png"}


def assert_as_edited(shop, name, workdir, **options):
    """The row's picture is, to the pixel, the one of --mode=edit."""
    images = str(shop / "shop" / "mug.png")
    files = run_mode("edit", workdir, shop / "edit", images=images, steps=4, **options)
    picture = next(path for path in files if path.suffix == ".png")
    np.testing.assert_array_equal(shown(shop, f"{name}_000.png"), np.asarray(Image.open(picture)))


def test_a_runs_own_colour_is_added_to_the_photo_and_said(run, shop):
    write(shop, {"name": "blue", "photo": "shop/mug.png", "edit": "recolour", "colour": "blue",
                 "method": "generated"})  # fmt: skip
    ask(run, shop, "out")
    asked = {"edit": "recolour", "colour": "blue", "method": "generated"}
    assert_as_edited(shop, "blue", run, **asked)
    assert provenance.is_generated(shop / "out" / "blue_000.png")
    text = Image.open(shop / "out" / "blue_000.png").text["prodgen"]
    assert text.startswith("composed of generated pictures; run ")
    assert manifest(shop / "out")["blue_000.png"]["generated_pixels"] == 14


def test_views_go_around_the_product(run, shop):
    write(shop, {"name": "a", "photo": "photo.png", "edit": "views", "count": "4"})
    ask(run, shop, "out")
    lines = manifest(shop / "out")
    turns = [lines[f"a_{k:03d}.png"]["attributes"]["azimuth"] for k in range(4)]
    assert turns == pytest.approx([0, 90, 180, 270], abs=1e-3)
    model = prodgen.load(run)
    model.inverter = model.open_inverter(model.say, 4)
    expected = model.views(model.read(shop / "photo.png"), frames=4)
    np.testing.assert_array_equal([shown(shop, f"a_{k:03d}.png") for k in range(4)], expected)
    assert lines["a_002.png"]["of"] == "photo.png" and len(lines["a_002.png"]["latent"]) == 4
    assert provenance.is_generated(shop / "out" / "a_000.png")


def test_what_cannot_be_made_of_a_photo_is_told_by_line(run, shop, monkeypatch):
    Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(shop / "nothing.png")
    (shop / "torn.png").write_bytes(b"no picture")
    recolour = {"photo": "shop/mug.png", "edit": "recolour", "colour": "teal"}
    write(
        shop,
        {"name": "good", "photo": "shop/mug.png", "edit": "background"},
        recolour | {"colour": "mauve"},
        recolour | {"photo": "nothing.png"},
        recolour | {"photo": "torn.png"},
        {"background": "mauve"},
        {"background": "torn.png"},
        recolour,
        recolour | {"method": "generated"},
    )

    def reaches_outside(photo, *given, **options):
        found = plain(photo, *given, **options)
        found.image[0, 0] -= 9
        return found

    plain = photo_edits.recolour
    monkeypatch.setattr(photo_edits, "recolour", reaches_outside)
    monkeypatch.setattr(Conditions, "visible_to", lambda self, config: self.to_unconditional())
    monkeypatch.setattr(modes, "load_once", lambda run, step, _: load(run, step))
    ask(run, shop, "out", guard=False)
    found = problems(shop / "out")
    for line, said in {
        3: "colour='mauve' is not a colour; .*teal", 4: "no_product", 5: "not a picture",
        6: "background='mauve' is not a colour", 7: "torn.png: not a picture",
        8: "outside its mask by up to 9 levels", 9: "trained without colours",
    }.items():  # fmt: skip
        assert re.search(said, found.pop(line)), line
    assert not found and list(manifest(shop / "out")) == ["good_000.png"]


def test_a_run_that_knows_no_side_shows_no_views(run, shop, store):
    known = prodgen.load(run)
    known.conditions = Conditions.from_store(store)
    row = dict.fromkeys(batch_requests.COLUMNS, "") | {"photo": "photo.png", "edit": "views"}
    with pytest.raises(UsageError, match="from which side .* it knows colour, radius, turn"):
        batch_rows.check_request(
            batch_requests.parse_request(2, row, known.conditions, shop), known, shop
        )


def test_pictures_follow_from_what_the_files_hold(run, shop):
    photo = {"photo": "shop/mug.png"}
    write(
        shop,
        photo | {"name": "teal", "edit": "recolour", "colour": "teal"},
        photo | {"name": "wood", "edit": "background", "background": "wood.png"},
    )
    ask(run, shop, "out")
    first = content(shop / "out")
    Image.fromarray(np.full((40, 40, 3), (20, 80, 140), np.uint8)).save(shop / "wood.png")
    ask(run, shop, "out")
    second = content(shop / "out")
    assert first["teal_000.png"] == second["teal_000.png"]
    assert first["wood_000.png"] != second["wood_000.png"]
    np.testing.assert_array_equal(shown(shop, "wood_000.png")[0, 0], (20, 80, 140))
    Image.fromarray(make_disc_photo(72, 96, (40, 160, 40))).save(shop / "shop" / "mug.png")
    ask(run, shop, "out")
    assert first["teal_000.png"] != content(shop / "out")["teal_000.png"]


def test_a_folder_whose_lines_name_no_files_is_not_made_again(run, shop):
    write(shop, {"name": "mine", "photo": "photo.png", "edit": "vary", "count": "2"})
    ask(run, shop, "out")
    lines = manifest(shop / "out").values()
    for line in lines:
        del line["inputs"]
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    (shop / "out" / "manifest.jsonl").write_text(text)
    before = content(shop / "out")
    times = [path.stat().st_mtime_ns for path in sorted((shop / "out").glob("*.png"))]
    ask(run, shop, "out")
    assert content(shop / "out") == before
    assert [p.stat().st_mtime_ns for p in sorted((shop / "out").glob("*.png"))] == times


def test_what_is_too_small_for_a_mark_is_said_before_anything_is_drawn(run, shop, monkeypatch):
    monkeypatch.setattr(Model, "decode", None)
    write(shop, {"size": "64"}, {"size": "23"})
    with pytest.raises(UsageError, match="--mark: line 3: .* 23 px is too small .* 24 px a side"):
        ask(run, shop, "out", mark=True)
    write(shop, {"name": "a"})
    with pytest.raises(UsageError, match="--mark: line 2: .* 16 px"):
        ask(run, shop, "out", mark=True)
    assert not (shop / "out").exists()


def test_a_mark_and_no_words_are_as_in_every_mode(run, shop):
    write(shop, {"name": "a", "photo": "shop/mug.png", "edit": "background"})
    ask(run, shop, "out", mark=True, metadata=False)
    assert (shown(shop, "a_000.png")[-1, -1] == 0).all()
    assert Image.open(shop / "out" / "a_000.png").text == {}
    ask(run, shop, "out", metadata=False)  # made again: a mark was asked for before
    assert (shown(shop, "a_000.png")[-1, -1] != 0).any()


def order(shop, conditions, **cells):
    return batch_requests.parse_request(
        2, dict.fromkeys(batch_requests.COLUMNS, "") | cells, conditions, shop
    )


def test_a_product_goes_onto_the_background_asked_for(turned, shop):
    picture = turned.fetch(turned.ids("test")[:1])["image"][0]
    large = np.repeat(np.repeat(picture, 4, 0), 4, 1)
    conditions = Conditions.from_store(turned)
    for ground, rgb in (("#203a5f", (0x20, 0x3A, 0x5F)), ("wood.png", (120, 80, 40))):
        found = batch_rows.finish_image(large, order(shop, conditions, background=ground), shop)
        np.testing.assert_array_equal(found[0, 0], rgb)
        np.testing.assert_array_equal(found[32, 32], picture[8, 8])


@pytest.mark.parametrize(
    ("shape", "size"), [((40, 80), (32, 64)), ((90, 30), (64, 21)), ((64, 9), (64, 9))]
)
def test_a_size_is_the_longer_sides(shape, size):
    found = batch_rows.resize_longer_side(np.zeros((*shape, 3), np.uint8), 64)
    assert found.shape[:2] == size
