"""Photos as a model's input: packshots to train on, refusals by name, keys of stores."""

import json

import numpy as np
import pytest
from PIL import Image

from prodgen.core.errors import MissingInput, RejectedItem
from prodgen.data import catalogue, folder, prepare, preprocess
from tests.photo.scenes import cloth, disc, lit_background, overlap, photo


def scene(right=0, radius=40, side=160, rgb=(150, 160, 175)):
    alpha = disc(side, radius, softness=2, right=right)
    return photo(cloth(side, (190, 50, 60)), alpha, lit_background(side, rgb, falloff=15))


@pytest.fixture
def shop(data, tmp_path):
    """config.data of phone photos with the product at any position, and some unusable ones."""
    path = tmp_path / "shop"
    path.mkdir()
    for i in range(6):
        Image.fromarray(scene(right=7 * i - 20, radius=30 + i)).save(path / f"{i}.png")
    Image.fromarray(np.full((80, 80, 3), 200, np.uint8)).save(path / "empty.png")
    Image.fromarray(scene(right=60)).save(path / "cut_off.png")
    pair = np.concatenate([scene(), scene()], axis=1)
    Image.fromarray(pair).save(path / "pair.png")
    (path / "broken.png").write_bytes(b"no picture")
    data.source, data.path, data.cutout, data.resolution = "folder", str(path), "plain", 64
    return data


def test_a_packshot_is_centred_on_the_requested_background():
    for background in ((255, 255, 255), (240, 230, 220), (128,)):
        packshot = preprocess.prepare_photo(
            scene(right=35), preprocess.FitOptions(64, cutout="plain"), background
        )
        pixels = np.broadcast_to(packshot.image.pixels, (64, 64, 3))
        rgb = np.broadcast_to(background, 3)
        np.testing.assert_array_equal(pixels[0, 0], rgb)
        np.testing.assert_array_equal(packshot.image.background, rgb)
        assert overlap(packshot.image.mask, disc(64, 27.5)) > 0.95  # 86 % of 64 pixels
        inner = pixels[24:40, 24:40].mean(axis=(0, 1))
        np.testing.assert_allclose(inner, (190, 50, 60), atol=20)
        assert packshot.image.original_size == (160, 160)


def test_without_a_cutout_an_image_is_only_fitted():
    from prodgen.data import fit

    image = scene()
    prepared_photo = preprocess.prepare_photo(image, preprocess.FitOptions(32))
    np.testing.assert_array_equal(prepared_photo.image.pixels, fit.fit_image(image, 32).pixels)
    assert prepared_photo.findings == ()


def test_a_photo_with_an_unsure_cutout_is_refused():
    rng = np.random.default_rng(0)
    clutter = np.kron(rng.integers(0, 255, (10, 10, 3)), np.ones((16, 16, 1)))
    with pytest.raises(RejectedItem, match="^unsure: "):
        preprocess.prepare_photo(
            photo(cloth(160, (9, 9, 9)), disc(160, 40), clutter),
            preprocess.FitOptions(32, cutout="plain"),
        )


def test_phone_photos_give_packshots_and_a_report(shop):
    store = prepare.open_or_prepare(shop)
    assert store.size == 8 and store.counts["refused"] == 2
    assert store.background.tolist() == [255, 255, 255]
    names = store.names(np.arange(8))
    images, masks = store.fetch(np.arange(8))["image"], store.masks(np.arange(8))
    for name, image, mask in zip(names, images, masks, strict=True):
        if name[0].isdigit():
            assert image[0, 0].tolist() == [255, 255, 255]
            assert overlap(mask, disc(64, 27.5)) > 0.93, name
    report = json.loads((store.path / "data_report.json").read_text())
    reasons = {one["name"]: one["reason"] for one in report["refused"]["examples"]}
    assert reasons["empty.png"].startswith("no_product: ") and "broken.png" in reasons
    assert report["notes"] == [
        "cut-out: several products in 1 of 8 images: pair.png",
        "cut-out: a product that the frame cuts off in 1 of 8 images: cut_off.png",
    ]


def test_a_key_holds_the_cutout_only_where_there_is_one(data, shop):
    key = prepare.compute_key(folder.from_config(shop), shop)
    shop.cutout = "none"
    key_without_cutout = prepare.compute_key(folder.from_config(shop), shop)
    assert key != key_without_cutout
    data.source, data.resolution = "catalogue", 64  # as before the field existed
    data.cutout = "none"
    assert prepare.compute_key(catalogue.Catalogue(12, 16, 3), data) == "a3b7e2cfb5c35823"


def test_a_method_without_its_model_file_stops_at_once(shop, tmp_path):
    shop.cutout, shop.cutout_model = "neural", str(tmp_path / "gone.onnx")
    with pytest.raises(MissingInput, match="no model file"):
        prepare.open_or_prepare(shop)
