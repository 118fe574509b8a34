"""Planted copies are caught, fresh images are not accused, and the numbers are those by hand."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from prodgen.core.errors import BadData
from prodgen.data.catalogue import Catalogue
from prodgen.metrics import likeness, memorisation, nearness
from prodgen.metrics.memorisation import ImageSet

FRESH = 96


def jpeg(image):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=50)
    return np.asarray(Image.open(out))


def shift_image(image, down=2, right=-3):
    canvas = np.pad(image, ((4, 4), (4, 4), (0, 0)), "edge")
    height, width = image.shape[:2]
    return canvas[4 - down : 4 - down + height, 4 - right : 4 - right + width]


def brighter(levels):
    return lambda image: np.clip(image.astype(int) + levels, 0, 255).astype(np.uint8)


CHANGES = {
    "as is": lambda image: image,
    "mirrored": lambda image: image[:, ::-1],
    "shifted by (2, -3)": shift_image,
    "jpeg": jpeg,
    "brighter": brighter(3),
    "darker": brighter(-3),
}


def features_of(image):
    """Means over squares: any extractor will do."""
    return likeness.shrink(image, 8).reshape(len(image), -1)


def image_set_of(image, features=None):
    return ImageSet(image, features_of(image) if features is None else features)


def blots(n, side=16, channels=3, seed=0):
    """Smooth random images uint8 [n, side, side, channels]."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, side // 4, side // 4, channels)).repeat(4, 1).repeat(4, 2)
    for axis in (1, 2):
        values = sum(np.roll(values, i, axis) for i in (-1, 0, 1)) / 3
    return np.clip(128 + 60 * values, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def products():
    """Renders of the catalogue: 320 for training, 128 held out, 96 new ones."""
    items = Catalogue(320 + 128 + FRESH, 32).stream(0, 320 + 128 + FRESH)
    return np.split(np.stack([item.image[..., :3] for item in items]), (320, 448))


@pytest.fixture(scope="module")
def honest(products):
    training, held_out, fresh = products
    return memorisation.examine(*map(image_set_of, (fresh, training, held_out)))


def planted_in(fresh, training, each=6):
    """Fresh images with copies among them: (images, {sample: (training image, change)})."""
    image, where = fresh.copy(), {}
    for number, name in enumerate(list(CHANGES) * each):
        sample, source = 1 + 2 * number, 5 + 7 * number
        image[sample], where[sample] = CHANGES[name](training[source]), (source, name)
    return image, where


@pytest.fixture(scope="module")
def report_with_copies(products):
    """A report on fresh images with copies among them whose features are those of nothing."""
    training, held_out, fresh = products
    image, where = planted_in(fresh, training)
    features = features_of(image)
    features[list(where)] = np.random.default_rng(0).normal(128, 40, features[list(where)].shape)
    samples = image_set_of(image, features)
    report = memorisation.examine(
        samples, *map(image_set_of, (training, held_out)), max_pairs=len(where) + 4
    )
    return report, image, where


def test_fresh_products_are_no_copies(honest):
    assert honest.copies == 0 and honest.repeats == 0
    assert honest.false_alarms <= 0.02 and honest.held_back_copies <= honest.false_alarms
    assert honest.gap_low < 1 < honest.gap_high and abs(honest.data_copying) < 3
    assert abs(honest.authenticity - honest.held_back_authenticity) < 0.15
    text = memorisation.describe_verdict(honest)
    assert text.startswith(f"None of {FRESH} samples is a copy")
    assert f"{honest.line:.4f}" in text and "no nearer to training images" in text


def test_every_planted_copy_is_detected_and_nothing_else(report_with_copies):
    report, _, where = report_with_copies
    assert {f.sample: f.training for f in report.findings if f.copy} == {
        sample: source for sample, (source, _) in where.items()
    }
    assert report.copies == len(where) / FRESH
    assert all(f.by_features != f.training for f in report.findings[:6])
    text = memorisation.describe_verdict(report)
    assert f"{len(where)} of {FRESH} samples (37.5%) are copies of training images" in text
    assert "alike by chance" not in text


def test_a_matched_pair_states_how_a_copy_was_changed(report_with_copies):
    report, _, where = report_with_copies
    how = {f.sample: f.how for f in report.findings}
    for sample, (_, name) in where.items():
        if name.startswith("shifted") or name == "as is":
            assert how[sample] == name
    mirror_descriptions = [how[sample] for sample, (_, name) in where.items() if name == "mirrored"]
    assert (
        mirror_descriptions.count("mirrored") >= len(mirror_descriptions) - 1
    )  # one may be as good as symmetric


def test_the_sheet_shows_each_sample_above_its_training_image(report_with_copies, products):
    report, image, _ = report_with_copies
    sheet = memorisation.draw_pairs_sheet(report, image, products[0], columns=8)
    assert sheet.height == 2 + 10 * (96 + 2)  # 40 findings: five rows of pairs, enlarged threefold
    left, first = sheet.width - 8 * 98, report.findings[0]
    pixels = np.asarray(sheet)[:, left:]
    for top, colours in ((2, image[first.sample]), (100, products[0][first.training])):
        np.testing.assert_array_equal(pixels[top : top + 96 : 3, :96:3], colours)


def test_a_copy_is_detected_by_features_where_small_images_mislead(monkeypatch):
    training = blots(50)
    monkeypatch.setattr(
        likeness, "select_candidates", lambda small, rows, count, own: np.full((len(small), 1), 49)
    )
    result = likeness.find_matches(training[:3], training, np.array([[0], [7], [2]]))
    assert result.index[0] == 0 and result.index[2] == 2
    np.testing.assert_allclose(result.distance[[0, 2]], 0, atol=1e-6)
    assert result.distance[1] > 0.1


@pytest.mark.parametrize("shape", [(28, 28, 1), (24, 24, 3), (12, 12, 1), (80, 80, 3), (40, 24, 3)])
def test_likeness_at_any_size(shape):
    height, width, channels = shape
    others = blots(30, 80, channels)[:, :height, :width]
    down = round(0.05 * height)
    copies = np.stack([shift_image(image, down, -1) for image in others[:4, :, ::-1]])
    result = likeness.find_matches(copies, others, np.zeros((4, 0), int))
    assert result.index.tolist() == [0, 1, 2, 3] and result.is_mirrored.all()
    assert np.abs(result.shift - (down, 1)).max() <= max(shape) // 64  # to the right, mirrored back
    assert result.distance.max() < 0.02


def test_the_distance_is_that_of_the_definition():
    """Images without slopes: E(a - b)^2 over their variances, which are 0, and the grain's."""
    a, b = np.full((1, 8, 8, 1), 100, np.uint8), np.full((1, 8, 8, 1), 106, np.uint8)
    result = likeness.find_matches(a, b, np.zeros((1, 1), int))
    assert result.distance[0] == pytest.approx(6**2 / (2 * likeness.NOISE_LEVELS**2), rel=1e-4)
    with pytest.raises(ValueError, match="against"):
        likeness.find_matches(a, b[:, :4], np.zeros((1, 1), int))


def test_a_generator_that_repeats_itself_is_detected():
    real, few = blots(200), blots(8, seed=1)
    copies = np.stack([brighter(i % 3 - 1)(few[i % 8]) for i in range(48)])
    report = memorisation.examine(*map(image_set_of, (copies, real[:140], real[140:])))
    assert report.repeats == 1 and report.training_repeats == 0 and report.copies == 0
    assert (
        "repeats itself: 100.0% of the samples have a near duplicate"
        in memorisation.describe_verdict(report)
    )
    assert report == memorisation.examine(*map(image_set_of, (copies, real[:140], real[140:])))


def test_duplicates_in_the_data_are_not_attributed_to_the_generator():
    """Every image ten times over: held-out ones are copies too, and the verdict says so."""
    real = np.tile(blots(20), (10, 1, 1, 1))
    report = memorisation.examine(*map(image_set_of, (real[:40], real[40:140], real[140:])))
    assert report.copies == report.held_back_copies == report.false_alarms == 1
    assert "the collection repeats itself" in memorisation.describe_verdict(report)


def test_authenticity_by_hand():
    """Training at 0, 1 and 5: the nearest other ones are at 1, 1 and 4."""
    spacing = np.array([1.0, 1.0, 4.0])
    index, distance = np.array([0, 0, 2, 2]), np.array([0.5, 2.0, 3.0, 5.0])
    assert nearness.authenticity(index, distance, spacing) == 0.5


def test_data_copying_is_the_mann_whitney_z():
    """No sample is farther than a held-out image: (0 - 2) / sqrt(2 * 2 * 5 / 12)."""
    result = nearness.data_copying(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert result == pytest.approx(-2 / np.sqrt(20 / 12))
    assert nearness.data_copying(np.ones(3), np.ones(4)) == 0


def test_the_generalisation_gap_detects_copies_but_not_blur():
    rng = np.random.default_rng(0)
    training, held_out, fresh = (rng.normal(size=(n, 8)) for n in (600, 150, 200))
    copies = np.concatenate([training[:80] + 0.01, fresh[:120]])
    gaps = [
        nearness.generalisation_gap(x, training, held_out, rng) for x in (fresh, fresh / 2, copies)
    ]
    for gap, low, high in gaps[:2]:
        assert low < 1 < high and gap == pytest.approx(1, abs=0.06)
    assert gaps[2][1] > 1.02


def test_the_copy_threshold_is_half_the_held_out_quantile():
    line, alarms = memorisation.copy_threshold(np.arange(99.0, 0.0, -1.0))
    assert (line, alarms) == (1.0, 0.02)  # the second of 99, halved; 2 of 100 ranks
    assert memorisation.copy_threshold(np.arange(1.0, 31.0)) == (0.5, 1 / 31)
    assert memorisation.copy_threshold(np.repeat([0.0, 1.0], [10, 89])) == (
        memorisation.MAX_IDENTICAL_DISTANCE,
        0.11,
    )


def test_honest_samples_pass_the_threshold_as_rarely_as_stated():
    rng = np.random.default_rng(0)
    draws = np.sqrt(rng.chisquare(6, size=(400, 300)))
    lines = [memorisation.copy_threshold(row[:200]) for row in draws]
    share_below = np.mean(
        [(row[200:] < line).mean() for row, (line, _) in zip(draws, lines, strict=True)]
    )
    assert share_below <= lines[0][1] == 4 / 201


def test_the_verdict_states_the_counts(honest):
    one = dataclasses.replace(honest, copies=1 / FRESH, held_back_copies=0.0)
    text = memorisation.describe_verdict(one)
    assert f"1 of {FRESH} samples (1.0%) is a copy of training" in text
    assert "alike by chance" in text
    heart = dataclasses.replace(honest, gap=1.2, gap_low=1.1, gap_high=1.3)
    assert "20.0% nearer to training images" in memorisation.describe_verdict(heart)
    assert "memorise" in memorisation.describe_verdict(heart)


def test_invalid_sets_are_rejected():
    image = blots(24)
    with pytest.raises(ValueError, match="uint8"):
        image_set_of(image.astype(np.float32))
    with pytest.raises(ValueError, match="24 images have features of 23"):
        ImageSet(image, np.zeros((23, 4)))
    with pytest.raises(BadData, match="20 images"):
        image_set_of(image[:19])
    with pytest.raises(BadData, match="not finite"):
        ImageSet(image, np.full((24, 4), np.nan))
