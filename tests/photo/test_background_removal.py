"""One contract for all methods: findings, refusals, centring, missing packages and files."""

import dataclasses
import os
import sys

import numpy as np
import pytest
from PIL import Image

from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.photo import background_removal, cutout_quality, neural, square
from prodgen.photo.mask_estimate import MaskEstimate
from tests.photo.scenes import cloth, disc, lit_background, overlap, photo
from tests.tiny import ROOT

SHARED_FOLDER = ROOT.parent / "shared"
WEIGHTS = SHARED_FOLDER / "weights" / "u2netp.onnx"
PHONE, WHITE = SHARED_FOLDER / "data" / "clothing-phone", SHARED_FOLDER / "data" / "clothing-white"


def scene(alpha, colour=(60, 90, 150), ground=(240, 240, 240)):
    side = alpha.shape[0]
    return photo(cloth(side, colour), alpha, lit_background(side, ground, falloff=10))


def test_findings_have_keys():
    def keys(mask, uncertainty=0.0):
        return cutout_quality.assess_mask(
            MaskEstimate(mask.astype(np.float32), uncertainty=uncertainty)
        ).keys

    assert keys(disc(100, 30)) == ()
    assert keys(disc(100, 20, right=-25) + disc(100, 18, right=25)) == ("several",)
    # A part that lost its connection to the product, or another object.
    assert keys(disc(100, 30) + disc(100, 8, right=41)) == ("second_piece",)
    assert keys(disc(100, 30) + disc(100, 4, right=42)) == ()  # a small piece is no product
    assert keys(disc(100, 30, right=30)) == ("touches_border",)
    assert keys(disc(100, 30), uncertainty=0.7) == ("unsure",)
    assert keys(np.zeros((100, 100))) == keys(np.ones((100, 100))) == ("no_product",)


def test_box_and_coverage_are_shares_of_the_frame():
    mask = np.zeros((100, 200), np.float32)
    mask[20:60, 50:150] = 1
    quality = cutout_quality.assess_mask(MaskEstimate(mask))
    assert quality.box == (0.2, 0.25, 0.6, 0.75) and quality.coverage == 0.2


@pytest.mark.parametrize(
    ("image", "reason"),
    [(np.full((100, 100, 3), 240, np.uint8), "no_product"),
     (np.zeros((20, 400, 3), np.uint8), "too small: 400 x 20"),
     (np.zeros((100, 100, 4), np.uint8), "no_product")],
)  # fmt: skip
def test_an_image_without_a_product_is_refused(image, reason):
    with pytest.raises(RejectedItem, match=reason):
        background_removal.cut_out(image, background_removal.load_segmenter("plain"))


def test_grey_and_transparent_photos():
    alpha = disc(128, 40)
    grey = scene(alpha)[..., :1]
    assert (
        overlap(
            background_removal.cut_out(grey, background_removal.load_segmenter("plain")).alpha,
            alpha,
        )
        > 0.95
    )
    clear = np.dstack([scene(alpha), np.uint8(alpha * 255)])
    np.testing.assert_array_equal(
        background_removal.cut_out(clear, None).alpha, clear[..., 3]
    )  # already cut out


def test_centring_moves_pixels_and_never_resamples():
    alpha = disc(200, 30, right=50, down=-20)
    cutout = background_removal.cut_out(scene(alpha), background_removal.load_segmenter("plain"))
    frame = square.Square.around(cutout.alpha)
    alpha, side = frame.crop(cutout.alpha), frame.side
    assert side == pytest.approx(60 / square.FILL_FRACTION, abs=2)
    rows, columns = np.nonzero(alpha > 127)
    assert abs(rows.min() + rows.max() + 1 - side) <= 1
    assert abs(columns.min() + columns.max() + 1 - side) <= 1
    colour = frame.crop(cutout.colour)
    np.testing.assert_array_equal(cutout.colour[cutout.alpha == 255], colour[alpha == 255])
    assert dataclasses.replace(cutout, colour=colour, alpha=alpha).flatten((255, 255, 255))[
        0, 0
    ].tolist() == [255, 255, 255]


def test_an_unknown_method_lists_the_known():
    with pytest.raises(UsageError, match="did you mean grabcut.*neural, plain"):
        background_removal.load_segmenter("grabcat")


@pytest.mark.parametrize(("name", "package"), [("grabcut", "cv2"), ("neural", "onnxruntime")])
def test_a_missing_package_is_named(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(neural, "read_model", lambda model: b"")
    neural._open_session.cache_clear()
    with pytest.raises(MissingInput) as error:
        background_removal.load_segmenter(name, "some.onnx")
    assert "pip install" in error.value.next_step


def test_a_missing_or_foreign_model_file_is_named(tmp_path):
    with pytest.raises(MissingInput, match="needs its model file"):
        background_removal.load_segmenter("neural")
    with pytest.raises(MissingInput, match="no model file .*gone.onnx"):
        background_removal.load_segmenter("neural", str(tmp_path / "gone.onnx"))
    (tmp_path / "other.onnx").write_bytes(b"something")
    with pytest.raises(BadData, match="not the u2netp.onnx"):
        background_removal.load_segmenter("neural", str(tmp_path / "other.onnx"))


def test_grabcut_finds_a_product_before_stripes():
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    y = np.arange(200)
    stripes = np.where((y // 10 % 2)[:, None, None], (60, 140, 60), (230, 220, 90))
    alpha = disc(200, 60, softness=2)
    image = photo(cloth(200, (70, 60, 170)), alpha, stripes * np.ones((200, 200, 1)))
    cutout = background_removal.cut_out(image, background_removal.load_segmenter("grabcut"))
    assert overlap(cutout.alpha, alpha) > 0.93
    second = background_removal.cut_out(image, background_removal.load_segmenter("grabcut"))
    np.testing.assert_array_equal(cutout.alpha, second.alpha)


@pytest.mark.skipif(not (WEIGHTS.is_file() and PHONE.is_dir() and WHITE.is_dir()),
                    reason="the model file or the real images are not here")  # fmt: skip
def test_the_network_agrees_with_masks_of_real_phone_photos():
    """clothing-white was cut out with the same network, by another program."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    segmenter, overlaps = background_removal.load_segmenter("neural", str(WEIGHTS)), []
    for name in sorted(os.listdir(WHITE / "images"))[:200:40]:
        white = np.asarray(Image.open(WHITE / "images" / name).convert("RGB"))
        image = np.asarray(Image.open(PHONE / "images" / name))
        alpha = background_removal.cut_out(image, segmenter).alpha
        alpha = square.Square.around(alpha).crop(alpha)
        alpha = np.asarray(Image.fromarray(alpha).resize((256, 256)))
        overlaps.append(overlap(alpha, np.uint8(white.min(axis=-1) < 245) * np.uint8(255)))
    assert np.mean(overlaps) > 0.85 and min(overlaps) > 0.6, overlaps
