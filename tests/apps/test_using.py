"""The modes that take a product: invert, vary, views."""

import csv
import io
import json

import jax
import numpy as np
import pytest
from PIL import Image

import prodgen.model
from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Spec
from prodgen.editing import initialisation, inversion_calibration, variations, viewpoints
from prodgen.editing.guard import Guard
from prodgen.editing.inversion import Inverter
from prodgen.metrics import memorisation
from prodgen.model import Model
from tests.modes import load_once, run_mode
from tests.tiny import Squares, write_run
from tests.tiny_gan import start, tiny_gan


@pytest.fixture(scope="module")
def run(azimuth_run):
    return azimuth_run


@pytest.fixture(autouse=True)
def own_pictures(azimuth_store, monkeypatch):
    """The source of the tests cannot be built from a config."""
    monkeypatch.setattr(Model, "store", lambda self: azimuth_store)


def run_mode_on(run, out, mode, **options):
    return run_mode(mode, run, out, steps=4, **options)


def silent(text):
    """No progress."""


@pytest.fixture(scope="module")
def inverter(run, azimuth_store):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "store", lambda self: azimuth_store)
        model = load_once(run, "best", (run / "config.json").read_bytes())
        yield model.open_inverter(silent, 4)


def test_inversion_writes_a_table_and_the_latents(run, tmp_path):
    files = run_mode_on(run, tmp_path / "invert.png", "invert", n=5)
    table = (tmp_path / "invert.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == 5 and len(files) == 3
    assert all(float(row["psnr"]) > 5 for row in rows)
    assert {row["in_distribution"] for row in rows} <= {"True", "False"}
    entries = json.loads((tmp_path / "manifest.json").read_text())["files"]
    model, entry = prodgen.model.load(run), entries["invert.png"]["pictures"][0]
    assert entry["name"] == rows[0]["file"] and len(entry["latent"]) == 4
    assert entry["label"] in (None, "disc", "square")
    assert model.decode(np.float32([entry["latent"]])).shape == (1, 16, 16, 3)


def test_an_inversion_does_not_depend_on_the_rest_of_the_batch(inverter, azimuth_store):
    pictures = azimuth_store.fetch(azimuth_store.ids("test"))["image"]
    together, two, alone = (inverter(pictures[:n]) for n in (len(pictures), 2, 1))
    np.testing.assert_array_equal(together.z[:2], two.z)
    np.testing.assert_allclose(together.z[:1], alone.z, atol=1e-5)  # a program of its own
    assert len(together.z) == len(pictures)
    assert (together.psnr >= together.initial_psnr - 0.5).all()
    assert together.psnr.mean() > together.initial_psnr.mean()


@pytest.mark.parametrize(("label", "is_known", "starts"), [(1, 0, 2), (-1, 1, 2), (-1, 0, 1)])
def test_a_descent_starts_from_predicted_and_from_unknown_conditions(
    inverter, azimuth_store, monkeypatch, label, is_known, starts
):
    def read(pictures):
        conditions = inverter.model.unknown(len(pictures))
        conditions["label"][:], conditions["known"][:, :2] = label, is_known
        return conditions

    def latents(pictures, conditions):
        initial_conditions.append(conditions)
        return np.zeros((len(pictures), 4), np.float32)

    initial_conditions = []
    monkeypatch.setattr(inverter, "read_conditions", read)
    monkeypatch.setattr(inverter, "initial_latents", latents)
    picture = azimuth_store.fetch(azimuth_store.ids("test")[:1])["image"]
    inverter(picture)
    assert len(initial_conditions) == starts and initial_conditions[0]["label"][0] == label
    assert (initial_conditions[-1]["label"] < 0).all() and not initial_conditions[-1]["known"].any()
    inverter(picture, read(picture))
    assert len(initial_conditions) == starts + 1  # given conditions have no alternative


def test_products_unlike_the_runs_own_are_out_of_distribution(inverter, azimuth_store):
    noise = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    own = azimuth_store.fetch(azimuth_store.ids("validation")[:2])["image"]
    rows_of_table = inversion_calibration.measure_inversions(
        inverter, inverter(np.concatenate([noise, own]))
    )
    assert [row["p"] > 0.05 for row in rows_of_table] == [False, False, True, True]
    assert not any(row["resembles_photo"] for row in rows_of_table[:2])
    for row in rows_of_table:
        assert row["in_distribution"] == (row["p"] > 0.05 and row["resembles_photo"])
    assert rows_of_table[0]["perceptual"] > rows_of_table[2]["perceptual"]


def test_p_values_are_ranks():
    calibration = inversion_calibration.InversionCalibration(
        np.array([0.1, 0.2, 0.3]), np.zeros((1, 2))
    )
    np.testing.assert_allclose(
        inversion_calibration.conformal_p_values(np.array([0.05, 0.2, 0.25, 0.4]), calibration),
        [1, 0.75, 0.5, 0.25],
    )


def test_identity_counts_the_products_that_are_nearer():
    gallery = np.array([[0.0, 0], [4, 0], [0, 4]])
    calibration = inversion_calibration.InversionCalibration(np.array([0.1]), gallery)
    source, decoded_features = np.array([[0.0, 0], [0, 0]]), np.array([[1.0, 0], [3, 0]])
    np.testing.assert_array_equal(
        inversion_calibration.count_nearer_products(decoded_features, source, calibration), [0, 1]
    )
    centred_calibration = inversion_calibration.InversionCalibration(
        np.array([0.1]), np.array([[1.0, 1], [-1, -1]])
    )
    cosine = inversion_calibration.identity_similarity(
        np.array([[2.0, 0], [0, 1]]), np.array([[1.0, 0], [1, 0]]), centred_calibration
    )
    np.testing.assert_allclose(cosine, [1, 0])
    rows = np.array([[3.0, 4], [0, 0]])
    np.testing.assert_allclose(
        inversion_calibration.cosine_similarity(rows, np.array([[8.0, 6], [1, 0]])), [0.96, 0]
    )


def test_a_family_without_an_encoder_trains_a_latent_regressor(
    azimuth_store, tmp_path, monkeypatch
):
    path = tmp_path / "gan"
    config = tiny_gan()
    with config.unlocked():
        config.data.cache_dir = str(azimuth_store.path.parent)
    state = start(config, azimuth_store.spec)
    wave = lambda leaf: leaf + 0.1 * np.sin(np.arange(leaf.size)).reshape(leaf.shape)  # noqa: E731
    g = state.nets["g"]
    state = state.replace(nets=state.nets | {"g": g.replace(ema=jax.tree.map(wave, g.ema))})
    write_run(path, azimuth_store, config, state, 1)
    monkeypatch.setattr(initialisation, "NUM_STEPS", 8)
    model, messages = prodgen.model.load(path), []
    inverter = Inverter(
        model, model.reference_classifier(messages.append), messages.append, steps=6
    )
    z = model.latents(np.arange(4), seed=5)
    pictures = model.decode(z, model.conditions.pick(5, np.arange(4)))
    inversion = inverter(pictures)
    assert (
        any("training the latent regressor" in text for text in messages) and len(inversion.z) == 4
    )
    again = prodgen.model.load(path).open_inverter(messages.append, steps=6)
    messages.clear()
    unknown = model.unknown(len(pictures))  # read from the run's folder:
    np.testing.assert_array_equal(
        again.initial_latents(pictures, unknown), inverter.initial_latents(pictures, unknown)
    )
    assert not any("training the latent regressor" in text for text in messages)


def test_variations_of_strength_0_equal_the_reconstruction(run, tmp_path):
    run_mode_on(run, tmp_path, "vary", n=3, products=1, strength=0.0)
    entries = json.loads((tmp_path / "manifest.json").read_text())["files"]
    singles = [np.asarray(Image.open(tmp_path / name)) for name in sorted(entries)[:3]]
    assert len(entries) == 4
    np.testing.assert_array_equal(singles[0], singles[1])
    assert all(entry.get("kept", True) for entry in entries.values())


def test_variations_are_made_of_each_product(run, tmp_path):
    run_mode_on(run, tmp_path, "vary", n=1, products=2)
    assert len(json.loads((tmp_path / "manifest.json").read_text())["files"]) == 2 + 1


def test_variations_too_small_for_a_mark_are_not_made(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "decode", None)
    with pytest.raises(UsageError, match=".* 16 px is too small .* 24 px a side"):
        run_mode_on(run, tmp_path, "vary", n=3, products=1, mark=True)


@pytest.mark.parametrize("keep", [(), ("category", "shape", "colour")])
def test_variations_differ_and_keep_the_given_properties(inverter, azimuth_store, keep):
    inversion = inverter(azimuth_store.fetch(azimuth_store.ids("test")[:1])["image"])
    z, conditions = inversion.z[0], {name: rows[:1] for name, rows in inversion.conditions.items()}
    result = variations.vary(inverter, inversion.images[0], z, conditions, 4, 0.7, keep)
    assert len({picture.tobytes() for picture in result.images}) == 4
    assert result.num_candidates % variations.CANDIDATES_PER_ROUND == 0 and result.min_distance > 0
    again = variations.vary(inverter, inversion.images[0], z, conditions, 4, 0.7, keep)
    np.testing.assert_array_equal(result.images, again.images)
    if keep:
        own = result.conditions
        colour_columns = conditions["attributes"][:, :2]  # the colour
        np.testing.assert_array_equal(
            own["attributes"][:, :2], np.repeat(colour_columns, 4, axis=0)
        )


def test_the_guard_detects_copies_except_of_the_users_own_image(inverter, azimuth_store):
    guard = Guard(inverter.model)
    training_images = azimuth_store.fetch(azimuth_store.ids("train")[:3])["image"]
    noise = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    matches = guard(np.concatenate([training_images[:1, :, ::-1], training_images[1:], noise]))
    np.testing.assert_array_equal(matches.is_copy, [True, True, True, False, False])
    assert matches.likeness[0] > 0.99 > matches.likeness[3]
    own = guard(training_images, own=training_images[1:2])
    assert own.is_copy[0] and not own.is_copy[1]


def test_the_copy_threshold_is_computed_once(inverter, azimuth_store, monkeypatch):
    threshold, calls = Guard(inverter.model).threshold, []
    monkeypatch.setattr(
        memorisation, "copy_threshold", lambda distance: (calls.append(1) or threshold, 0.0)
    )
    assert Guard(inverter.model).threshold == threshold and not calls
    for file in (azimuth_store.path.parent / "lines").iterdir():
        file.write_bytes(file.read_bytes() + b"0")
    assert Guard(inverter.model).threshold == threshold and calls


def test_refused_variations_are_never_returned(inverter, azimuth_store):
    inversion = inverter(azimuth_store.fetch(azimuth_store.ids("test")[:1])["image"])
    z, conditions = inversion.z[0], {name: rows[:1] for name, rows in inversion.conditions.items()}
    free = variations.vary(inverter, inversion.images[0], z, conditions, 3, 0.7)
    first = free.images[0].tobytes()
    result = variations.vary(
        inverter, inversion.images[0], z, conditions, 3, 0.7,
        refuse=lambda pictures: np.array([x.tobytes() == first for x in pictures]),
    )  # fmt: skip
    assert first not in {x.tobytes() for x in result.images} and result.num_refused == 1
    none = variations.vary(
        inverter, inversion.images[0], z, conditions, 3, 0.7,
        refuse=lambda pictures: np.ones(len(pictures), bool),
    )  # fmt: skip
    assert not len(none.images) and none.num_refused == none.num_candidates


def test_an_unknown_property_to_keep_is_an_error(inverter):
    with pytest.raises(UsageError, match="shape, colour, category"):
        variations.vary(inverter, None, np.zeros(4), inverter.model.unknown(1), 2, 0.5, ("smell",))


def test_views_are_a_sheet_and_a_turntable(run, tmp_path):
    files = run_mode_on(run, tmp_path, "views", frames=6)
    sheet, turntable = (Image.open(path) for path in files[:2])
    assert turntable.n_frames == 6
    assert sheet.height == 3 * 98 + 2
    details = json.loads((tmp_path / "manifest.json").read_text())["files"][files[0].name]
    assert details["azimuths"] == [0, 60, 120, 180, 240, 300]


def test_viewpoints_change_azimuth_and_elevation_only():
    spec = Spec(16, 3, (), (
        Attribute("colour", "categorical", ("blue", "red")),
        Attribute("elevation", "number", mean=20.0, std=10.0),
        Attribute("azimuth", "angle"),
    ))  # fmt: skip
    around, above = viewpoints.camera_attributes(spec)
    one = {
        "label": np.int32([-1]),
        "attributes": np.float32([[0, 1, 0, 0, 0]]),
        "known": np.array([[True, True, False, False, False]]),
    }
    views = viewpoints.set_viewpoints(one, spec, around, above, [0.0, 90.0], [10.0, 30.0])
    expected_attributes = [[0, 1, -1, 0, 1], [0, 1, -1, 1, 0], [0, 1, 1, 0, 1], [0, 1, 1, 1, 0]]
    np.testing.assert_allclose(views["attributes"], expected_attributes, atol=1e-6)
    assert views["known"].all()
    assert viewpoints.sheet_elevations(above) == [10.0, 20.0, 30.0]


def test_a_run_without_an_azimuth_names_its_attributes():
    with pytest.raises(UsageError, match="it knows colour, radius, turn"):
        viewpoints.camera_attributes(Spec(16, 3, (), Squares().schema()))


def test_a_model_varies_and_turns_a_photo(run, azimuth_store, tmp_path):
    model = prodgen.model.load(run)
    model.inverter.steps = 3
    picture = azimuth_store.fetch(azimuth_store.ids("test")[:1])["image"][0]
    Image.fromarray(picture).save(tmp_path / "photo.png")
    np.testing.assert_array_equal(model.read(tmp_path / "photo.png"), picture)
    same = model.vary(picture, 2, strength=0.0)
    np.testing.assert_array_equal(same[0], model.invert(picture[None]).reconstruction[0])
    around = model.views(picture, frames=4)
    assert around.shape == (4, 16, 16, 3) and (around[0] != around[2]).any()
