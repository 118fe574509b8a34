"""--mode=batch: an interrupted batch continues and ends with the same bytes."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import prodgen.model
from prodgen.apps.common import batch_progress, batch_rows
from prodgen.core import provenance
from prodgen.core.errors import BadData, UsageError
from prodgen.data.conditions import Conditions
from prodgen.data.image_paths import ImagePaths
from prodgen.editing import batch_requests, guard, photo_edits
from prodgen.model import Model, load
from prodgen.photo import background_removal, plain
from prodgen.photo.mask_estimate import Finding, MaskEstimate
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
def run(azimuth_run):
    return azimuth_run


@pytest.fixture
def shop(azimuth_store, tmp_path, monkeypatch):
    """A folder with a table and the images that it names."""
    monkeypatch.setattr(Model, "store", lambda self: azimuth_store)
    picture = azimuth_store.fetch(azimuth_store.ids("test")[:1])["image"][0]
    Image.fromarray(picture).save(tmp_path / "photo.png")
    (tmp_path / "shop").mkdir()
    Image.fromarray(make_disc_photo(72, 96)).save(tmp_path / "shop" / "mug.png")
    Image.fromarray(np.full((40, 40, 3), (120, 80, 40), np.uint8)).save(tmp_path / "wood.png")
    (tmp_path / "requests.csv").write_text(TABLE)
    return tmp_path


def run_batch(run, shop, out, **options):
    table = str(shop / "requests.csv")
    return run_mode("batch", run, shop / out, table=table, steps=4, **options)


def write_table(shop, *rows):
    """A table of {column: cell}."""
    with open(shop / "requests.csv", "w", newline="") as file:
        table = csv.DictWriter(file, batch_requests.COLUMNS)
        table.writeheader()
        table.writerows(rows)


def read_files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def read_manifest(folder):
    return {(line := json.loads(text))["file"]: line for text in (folder / "manifest.jsonl").open()}


def read_problems(folder):
    text = (folder / "problems.csv").read_text(encoding="utf-8-sig")
    return {int(row["line"]): row["problem"] for row in csv.DictReader(io.StringIO(text))}


def open_rgb(shop, name):
    return np.asarray(Image.open(shop / "out" / name).convert("RGB"))


@pytest.mark.parametrize(
    "after",  # images: the interruption is among the samples, or among the edits
    [40, pytest.param(80, marks=pytest.mark.slow)],
)
def test_an_interrupted_batch_continues_and_ends_with_the_same_bytes(
    run, shop, after, monkeypatch, capsys
):
    run_batch(run, shop, "whole")
    whole = read_files(shop / "whole")
    assert len(whole) == 82 + 2
    write_image = batch_progress.BatchProgress.write_image
    folder, files = shop / f"parts{after}", []

    def interrupt(self, file, *args):
        if len(files) == after:
            raise KeyboardInterrupt
        files.append(file)
        return write_image(self, file, *args)

    monkeypatch.setattr(batch_progress.BatchProgress, "write_image", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_batch(run, shop, folder.name)
    monkeypatch.setattr(batch_progress.BatchProgress, "write_image", write_image)
    before = {p: p.stat().st_mtime_ns for p in folder.glob("*.png")}
    (folder / sorted(files)[0]).write_bytes(b"cut short")
    capsys.readouterr()
    run_batch(run, shop, folder.name)
    assert read_files(folder) == whole
    message = f"{after - 1} images are there, {83 - after} are to be made"
    assert message in capsys.readouterr().err
    unchanged_files = [p for p, time in before.items() if p.stat().st_mtime_ns == time]
    assert len(unchanged_files) == after - 1


def test_samples_equal_those_of_the_model_and_state_their_origin(run, shop):
    run_batch(run, shop, "out")
    model = prodgen.model.load(run)
    samples = model.sample(70, seed=3, label="disc", attributes={"colour": "red"})
    for k in (0, 63, 64, 69):
        image = np.asarray(Image.open(shop / "out" / f"reds_{k:03d}.png"))
        np.testing.assert_array_equal(image, samples[k])
    assert Image.open(shop / "out" / "large_001.png").size == (64, 64)
    assert provenance.is_generated(shop / "out" / "reds_000.png")
    lines = read_manifest(shop / "out")
    assert list(lines)[:2] == ["reds_000.png", "reds_001.png"] and len(lines) == 82
    assert lines["reds_000.png"]["label"] == "disc"
    assert len(lines["reds_000.png"]["latent"]) == 4 and "inputs" not in lines["reds_000.png"]
    assert {line["of"] for name, line in lines.items() if name[:4] == "mine"} == {"photo.png"}


def test_problems_name_the_line_of_a_bad_row_and_stop_no_other_row(run, shop):
    run_batch(run, shop, "out", guard=False)
    problems_by_line = read_problems(shop / "out")
    assert (
        "disc, square" in problems_by_line.pop(4)
        and "'reds' already" in problems_by_line.pop(6)
        and not problems_by_line
    )


def test_only_a_changed_row_is_computed_again(run, shop):
    (shop / "requests.csv").write_text("name,seed\na,1\nb,1\n")
    run_batch(run, shop, "out")
    first = read_files(shop / "out")
    (shop / "requests.csv").write_text("name,seed\nb,1\na,2\n")
    times = (shop / "out" / "b_000.png").stat().st_mtime_ns
    run_batch(run, shop, "out")
    second = read_files(shop / "out")
    assert first["a_000.png"] != second["a_000.png"] and first["b_000.png"] == second["b_000.png"]
    assert (shop / "out" / "b_000.png").stat().st_mtime_ns == times


def test_copies_of_training_images_are_refused(run, shop, azimuth_store, monkeypatch):
    copy = azimuth_store.fetch(azimuth_store.ids("train")[:1])["image"][0]
    decode = Model.decode

    def decode_with_a_copy(self, z, conditions=None):
        samples = decode(self, z, conditions).copy()
        samples[0] = copy
        return samples

    monkeypatch.setattr(Model, "decode", decode_with_a_copy)
    (shop / "requests.csv").write_text("name,count\na,3\n")
    run_batch(run, shop, "out")
    assert not (shop / "out" / "a_000.png").exists() and (shop / "out" / "a_001.png").exists()
    assert read_problems(shop / "out")[2].startswith("a_000.png: a copy of training picture ")


def test_variations_are_refused_where_all_are_copies(run, shop, monkeypatch):
    everything = lambda self, own: lambda pictures: np.ones(len(pictures), bool)  # noqa: E731
    monkeypatch.setattr(guard.Guard, "refusal_fn", everything)
    write_table(shop, {"name": "a", "photo": "photo.png", "edit": "vary"}, {"name": "b"})
    run_batch(run, shop, "out")
    reason = "a_000.png: all further variations are copies of training pictures"
    assert read_problems(shop / "out") == {2: reason} and not (shop / "out" / "a_000.png").exists()
    assert read_manifest(shop / "out")["a_000.png"]["refused"] == reason


def test_a_users_own_files_are_not_overwritten(run, shop):
    (shop / "requests.csv").write_text("name\na\n")
    (shop / "out").mkdir()
    (shop / "out" / "a_000.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match="did not write it"):
        run_batch(run, shop, "out")
    assert (shop / "out" / "a_000.png").read_bytes() == b"mine"


def test_a_table_without_a_valid_row_is_an_error(run, shop):
    (shop / "requests.csv").write_text("category\ntriangle\n")
    with pytest.raises(BadData, match="no image"):
        run_batch(run, shop, "out")


def test_latents_of_many_seeds_equal_those_of_each_seed(run):
    model = prodgen.model.load(run)
    latents = model.draw([5, 5, 9], [0, 3, 1])
    expected_latents = [model.latents(np.array([i]), s)[0] for s, i in ((5, 0), (5, 3), (9, 1))]
    np.testing.assert_array_equal(latents, expected_latents)


def test_edits_equal_those_of_mode_edit_and_classical_ones_need_no_inverter(run, shop, monkeypatch):
    monkeypatch.setattr(Model, "open_inverter", None)
    photo = {"photo": "shop/mug.png"}
    write_table(
        shop,
        photo | {"name": "teal", "edit": "recolour", "colour": "teal"},
        photo | {"name": "small", "edit": "recolour", "colour": "teal", "size": "48"},
        photo | {"name": "wood", "edit": "background", "background": "wood.png"},
        photo | {"name": "plain", "edit": "background"},
    )
    run_batch(run, shop, "out")
    for name, options in {
        "teal": {"edit": "recolour", "colour": ("teal",), "method": "classical"},
        "wood": {"edit": "background", "background": str(shop / "wood.png")},
        "plain": {"edit": "background"},
    }.items():
        assert_equals_mode_edit(shop, name, None, **options)
    small = Image.open(shop / "out" / "small_000.png")
    assert small.size == (48, 36)
    text = small.text["prodgen"]
    assert text.startswith("composed; run ") and text.endswith("seed 0, mode batch")
    assert not provenance.is_generated(shop / "out" / "wood_000.png")
    lines = read_manifest(shop / "out")
    teal = lines["teal_000.png"]
    assert teal["ciede2000"] < 3 < teal["ciede2000_before"] and teal["outside_largest"] <= 1
    assert (teal["of"], teal["edit"], teal["method"]) == ("shop/mug.png", "recolour", "classical")
    assert set(teal["inputs"]) == {"shop/mug.png"}
    assert set(lines["wood_000.png"]["inputs"]) == {"shop/mug.png", "wood.png"}


def assert_equals_mode_edit(shop, name, workdir, **options):
    """Assert that the row's image equals that of --mode=edit."""
    images = (str(shop / "shop" / "mug.png"),)
    files = run_mode("edit", workdir, shop / "edit", images=images, steps=4, **options)
    picture = next(path for path in files if path.suffix == ".png")
    np.testing.assert_array_equal(
        open_rgb(shop, f"{name}_000.png"), np.asarray(Image.open(picture))
    )


def test_a_generated_colour_equals_that_of_mode_edit_and_is_stated(run, shop):
    cells = {"edit": "recolour", "colour": "blue", "method": "generated"}
    write_table(shop, cells | {"name": "blue", "photo": "shop/mug.png"})
    run_batch(run, shop, "out")
    assert_equals_mode_edit(shop, "blue", run, **cells | {"colour": ("blue",)})
    assert provenance.is_generated(shop / "out" / "blue_000.png")
    text = Image.open(shop / "out" / "blue_000.png").text["prodgen"]
    assert text.startswith("composed of generated pictures; run ")
    assert read_manifest(shop / "out")["blue_000.png"]["generated_pixels"] == 14


def test_views_have_evenly_spaced_azimuths(run, shop):
    write_table(shop, {"name": "a", "photo": "photo.png", "edit": "views", "count": "4"})
    run_batch(run, shop, "out")
    lines = read_manifest(shop / "out")
    turns = [lines[f"a_{k:03d}.png"]["attributes"]["azimuth"] for k in range(4)]
    assert turns == pytest.approx([0, 90, 180, 270], abs=1e-3)
    model = prodgen.model.load(run)
    model.inverter = model.open_inverter(model.say, 4)
    views = model.views(model.read(shop / "photo.png"), frames=4)
    np.testing.assert_array_equal([open_rgb(shop, f"a_{k:03d}.png") for k in range(4)], views)
    assert lines["a_002.png"]["of"] == "photo.png" and len(lines["a_002.png"]["latent"]) == 4
    assert provenance.is_generated(shop / "out" / "a_000.png")


def test_problems_name_the_line_of_a_photo_that_cannot_be_used(run, shop, monkeypatch):
    Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(shop / "nothing.png")
    (shop / "torn.png").write_bytes(b"no picture")
    recolour = {"photo": "shop/mug.png", "edit": "recolour", "colour": "teal"}
    write_table(
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

    def change_a_pixel_outside(photo, *args, **options):
        edited_photo = recolour_photo(photo, *args, **options)
        edited_photo.image[0, 0] -= 9
        return edited_photo

    recolour_photo = photo_edits.recolour
    monkeypatch.setattr(photo_edits, "recolour", change_a_pixel_outside)
    monkeypatch.setattr(Conditions, "visible_to", lambda self, config: self.to_unconditional())
    monkeypatch.setattr(modes, "load_once", lambda run, step, *_: load(run, step))
    run_batch(run, shop, "out", guard=False)
    problems_by_line = read_problems(shop / "out")
    for line, message in {
        3: "colour='mauve' is not a colour; .*teal", 4: "no_product", 5: "not a picture",
        6: "background='mauve' is not a colour", 7: "torn.png: not a picture",
        8: "outside its mask by up to 9 levels", 9: "trained without colours",
    }.items():  # fmt: skip
        assert re.search(message, problems_by_line.pop(line)), line
    assert not problems_by_line and list(read_manifest(shop / "out")) == ["good_000.png"]


def test_a_run_without_an_azimuth_has_no_views(run, shop, store):
    model = prodgen.model.load(run)
    model.conditions = Conditions.from_store(store)
    row = dict.fromkeys(batch_requests.COLUMNS, "") | {"photo": "photo.png", "edit": "views"}
    with pytest.raises(UsageError, match="from which side .* it knows colour, radius, turn"):
        batch_rows.check_request(
            batch_requests.parse_request(2, row, model.conditions, ImagePaths(shop)), model, shop
        )


def test_images_are_computed_again_where_their_input_files_change(run, shop):
    photo = {"photo": "shop/mug.png"}
    write_table(
        shop,
        photo | {"name": "teal", "edit": "recolour", "colour": "teal"},
        photo | {"name": "wood", "edit": "background", "background": "wood.png"},
    )
    run_batch(run, shop, "out")
    first = read_files(shop / "out")
    Image.fromarray(np.full((40, 40, 3), (20, 80, 140), np.uint8)).save(shop / "wood.png")
    run_batch(run, shop, "out")
    second = read_files(shop / "out")
    assert first["teal_000.png"] == second["teal_000.png"]
    assert first["wood_000.png"] != second["wood_000.png"]
    np.testing.assert_array_equal(open_rgb(shop, "wood_000.png")[0, 0], (20, 80, 140))
    Image.fromarray(make_disc_photo(72, 96, (40, 160, 40))).save(shop / "shop" / "mug.png")
    run_batch(run, shop, "out")
    assert first["teal_000.png"] != read_files(shop / "out")["teal_000.png"]


def test_lines_of_older_versions_without_inputs_count_as_done(run, shop):
    write_table(shop, {"name": "mine", "photo": "photo.png", "edit": "vary", "count": "2"})
    run_batch(run, shop, "out")
    lines = read_manifest(shop / "out").values()
    for line in lines:
        del line["inputs"]
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    (shop / "out" / "manifest.jsonl").write_text(text)
    before = read_files(shop / "out")
    times = [path.stat().st_mtime_ns for path in sorted((shop / "out").glob("*.png"))]
    run_batch(run, shop, "out")
    assert read_files(shop / "out") == before
    assert [p.stat().st_mtime_ns for p in sorted((shop / "out").glob("*.png"))] == times


def test_images_too_small_for_a_mark_are_an_error_before_sampling(run, shop, monkeypatch):
    monkeypatch.setattr(Model, "decode", None)
    write_table(shop, {"size": "64"}, {"size": "23"})
    with pytest.raises(UsageError, match="line 3: .* 23 px is too small .* 24 px a side"):
        run_batch(run, shop, "out", mark=True)
    write_table(shop, {"name": "a"})
    with pytest.raises(UsageError, match="line 2: .* 16 px"):
        run_batch(run, shop, "out", mark=True)
    assert not (shop / "out").exists()


def test_mark_and_nometadata_change_the_images_and_their_key(run, shop):
    write_table(shop, {"name": "a", "photo": "shop/mug.png", "edit": "background"})
    run_batch(run, shop, "out", mark=True, metadata=False)
    assert (open_rgb(shop, "a_000.png")[-1, -1] == 0).all()
    assert Image.open(shop / "out" / "a_000.png").text == {}
    run_batch(run, shop, "out", metadata=False)  # computed again: the earlier image has a mark
    assert (open_rgb(shop, "a_000.png")[-1, -1] != 0).any()


def parse_cells(shop, conditions, **cells):
    return batch_requests.parse_request(
        2, dict.fromkeys(batch_requests.COLUMNS, "") | cells, conditions, ImagePaths(shop)
    )


def test_a_product_is_composed_on_the_background_of_its_row(azimuth_store, shop):
    picture = azimuth_store.fetch(azimuth_store.ids("test")[:1])["image"][0]
    large = np.repeat(np.repeat(picture, 4, 0), 4, 1)
    conditions = Conditions.from_store(azimuth_store)
    for ground, rgb in (("#203a5f", (0x20, 0x3A, 0x5F)), ("wood.png", (120, 80, 40))):
        request = parse_cells(shop, conditions, background=ground)
        finished_image, doubts = batch_rows.finish_image(large, request, shop, plain.segment)
        assert doubts == {}
        np.testing.assert_array_equal(finished_image[0, 0], rgb)
        np.testing.assert_array_equal(finished_image[32, 32], picture[8, 8])


def test_doubts_about_cut_outs_are_in_the_manifest_and_counted(run, shop, monkeypatch, capsys):
    def segment(image):
        doubt = Finding("undecided", "the strap")
        return MaskEstimate(plain.segment(image).mask, findings=(doubt,))

    write_table(
        shop,
        {"name": "reds", "category": "disc", "count": 3, "background": "teal"},
        {"name": "plain", "category": "disc"},
        {"name": "mug", "photo": "shop/mug.png", "edit": "background"},
    )
    monkeypatch.setattr(background_removal, "load_segmenter", lambda *_: segment)
    monkeypatch.setattr(background_removal, "MIN_SIDE", 16)  # of the tiny run's images
    run_batch(run, shop, "out")
    messages = capsys.readouterr().err
    assert messages.count("DOUBTFUL cut-out: undecided: the strap") == 2
    assert "2 rows are doubtful: lines 2, 4; the reasons: manifest.jsonl" in messages
    lines = read_manifest(shop / "out")
    doubtful = {name for name, line in lines.items() if "cutout_doubt" in line}
    assert doubtful == {"reds_000.png", "reds_001.png", "reds_002.png", "mug_000.png"}

    # Another method makes those images again that are cut out, and no others.
    run_batch(run, shop, "out", cutout="plain")
    assert ", 4 are to be made" in capsys.readouterr().err
    again = read_manifest(shop / "out")
    assert {name for name in lines if again[name]["key"] != lines[name]["key"]} == doubtful


def test_doubts_about_colours_are_printed_and_counted_as_mode_edit_does(shop, run, capsys):
    bag = make_disc_photo(72, 96)
    inside = (bag != bag[0, 0]).any(axis=2)
    bag[:36][inside[:36]] = (32, 48, 92)
    Image.fromarray(bag).save(shop / "bag.png")
    cells = {"edit": "recolour", "colour": "teal"}
    write_table(shop, cells | {"name": "mug", "photo": "shop/mug.png"},
                cells | {"name": "bag", "photo": "bag.png"})  # fmt: skip
    counts = "1 row is doubtful: line 3;"
    for _ in range(2):  # the second command makes nothing, and counts the same
        run_batch(run, shop, "out")
        messages = capsys.readouterr().err
        assert counts in messages and "line 2:" not in messages
        if ", 2 are to be made" in messages:
            assert "line 3: changed #" in messages
            assert "DOUBTFUL: another colour is nearly as large" in messages
    assert "another colour" in read_manifest(shop / "out")["bag_000.png"]["doubt"]


@pytest.mark.parametrize(
    ("shape", "size"), [((40, 80), (32, 64)), ((90, 30), (64, 21)), ((64, 9), (64, 9))]
)
def test_a_size_is_that_of_the_longer_side(shape, size):
    resized_image = batch_rows.resize_longer_side(np.zeros((*shape, 3), np.uint8), 64)
    assert resized_image.shape[:2] == size
