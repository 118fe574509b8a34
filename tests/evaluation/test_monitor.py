"""The verdicts on hand-made readings, and on stand-ins for a collapsed generator."""

import jax
import numpy as np
import pytest

from prodgen.core import pixels, rng
from prodgen.evaluation import monitor
from prodgen.steps import evaluation_sums, gan
from tests.tiny import batch_of
from tests.tiny_gan import init_reference_classifier, start, tiny_gan

HEALTHY = {
    "frechet": 2.0, "grad_norm_g": 0.5, "spread": 0.9, "categories": 1.0, "d_margin": 0.6,
    "logit_gap": 1.0, "logits": 3.0, "out_of_range_fraction": 0.0,
}  # fmt: skip


def diagnose(*readings, progress=0.5):
    return monitor.diagnose([HEALTHY | reading for reading in readings], progress)


def test_a_healthy_run_has_no_verdict():
    assert diagnose({}, {"spread": 0.7}, {"spread": 1.2, "d_margin": 0.2}) == {}


def test_an_early_reading_has_no_verdict():
    early = {"spread": 0.01, "categories": 0.1, "out_of_range_fraction": 0.6}
    assert diagnose(early, early, progress=0.05) == {}


def test_a_small_spread_twice_in_a_row_is_a_mode_collapse():
    assert (
        diagnose({"spread": 0.5}, {"spread": 0.2}, progress=0.3) != {}
    )  # a fall by more than half
    assert diagnose({"spread": 0.3}, {"spread": 0.2}, progress=0.3) == {}
    verdicts = diagnose({"spread": 0.3}, {"spread": 0.2}, {"spread": 0.1}, progress=0.4)
    assert list(verdicts) == ["mode collapse"] and "10%" in verdicts["mode collapse"]


def test_a_sudden_fall_of_the_spread_is_a_mode_collapse_at_once():
    verdicts = diagnose({"spread": 0.9}, {"spread": 0.15})
    assert "fell from 90% of the real images' to 15%" in verdicts["mode collapse"]


def test_missing_categories_are_a_mode_collapse():
    assert "25% of the categories" in diagnose({"categories": 0.25})["mode collapse"]


def test_the_verdict_on_a_discriminator_that_won_gives_its_loss():
    verdicts = diagnose({"d_margin": 1e-5, "logit_gap": 14.2})
    assert "1.0e-05 of that of random guessing" in verdicts["discriminator won"]
    assert "differ by 14.2" in verdicts["discriminator won"]


def test_every_sign_of_divergence_gives_a_verdict():
    assert "5000" in diagnose({"logits": 5000.0})["divergence"]
    assert "40%" in diagnose({"out_of_range_fraction": 0.4})["divergence"]
    assert "not finite" in diagnose({"frechet": float("nan")})["divergence"]
    assert "gradient of g" in diagnose({"grad_norm_g": 2e6})["divergence"]
    growth = diagnose({"grad_norm_vae": 8e4}, {"grad_norm_vae": 1e7})
    assert "gradient of vae has the norm 1.0e+07" in growth["divergence"]


def test_a_large_gradient_that_does_not_grow_is_no_divergence():
    assert diagnose({"grad_norm_vae": 8e4}, {"grad_norm_vae": 4e5}) == {}


def test_missing_metrics_give_no_verdict():
    readings = [{k: v for k, v in HEALTHY.items() if k not in ("spread", "categories", "d_margin")}]
    assert monitor.diagnose(readings * 2, 0.5) == {}


def read_metrics(store, config, generate):
    """The metrics of images float that stand for a generator's, in place of a training run."""
    classifier_params = init_reference_classifier(store.spec)
    _, discriminator = gan.build_networks(config, store.spec)
    evaluate = jax.jit(evaluation_sums.make_sums(config, store.spec, discriminator))
    sums = {}
    for t in range(4):
        batch = batch_of(store, config, t)
        batch |= {"slot": batch["slot"] + 16 * t}
        real = pixels.to_float(batch["image"])
        fake = generate(batch, real)
        batch_sums = evaluate(start(config, store.spec), batch, real, fake, fake, classifier_params)
        sums = {
            name: sums.get(name, 0) + np.asarray(v, np.float64) for name, v in batch_sums.items()
        }
    return evaluation_sums.summarise(config, store.spec, sums)


def test_one_image_per_category_is_a_mode_collapse_and_real_images_are_not(store):
    config = tiny_gan()
    ids = store.ids("train")
    one = {k: pixels.to_float(store.fetch(ids[store.label[ids] == k][:1])["image"]) for k in (0, 1)}

    def collapsed_generator(batch, real):
        return np.where(batch["label"][:, None, None, None] == 0, one[0], one[1])

    def perfect_generator(batch, real):
        """Other real images of the same categories."""
        order = np.lexsort((np.arange(16), batch["label"]))
        after = np.empty(16, int)
        for k in (0, 1):
            rows = order[batch["label"][order] == k]
            after[rows] = np.roll(rows, 1)
        return real[after]

    collapse = read_metrics(store, config, collapsed_generator)
    healthy = read_metrics(store, config, perfect_generator)
    assert collapse["spread"] < 1e-3 and healthy["spread"] == pytest.approx(1.0, abs=1e-3)
    assert healthy["frechet"] == pytest.approx(0.0, abs=1e-4 * max(collapse["frechet"], 1))
    assert monitor.diagnose([healthy, healthy], 0.5) == {}
    assert "mode collapse" in monitor.diagnose([healthy, collapse], 0.5)  # at the first interval
    assert "mode collapse" in monitor.diagnose(
        [collapse, collapse], 0.5
    )  # never healthy: the second


def test_a_few_images_far_from_each_other_have_a_wide_spread_and_are_a_mode_collapse(store):
    """Four real images per category: their spread is as wide as the real one."""
    config, ids = tiny_gan(), store.ids("train")
    few = [pixels.to_float(store.fetch(ids[store.label[ids] == k][:4])["image"]) for k in (0, 1)]

    def collapsed_generator(batch, real):
        return np.stack([few[k][i % 4] for i, k in enumerate(batch["label"])])

    metrics = read_metrics(store, config, collapsed_generator)
    assert metrics["spread"] > monitor.MIN_SPREAD
    assert metrics["near_duplicates"] == 1.0 and metrics["near_duplicates_real"] < 0.5
    assert monitor.diagnose([metrics], 0.5) == {}
    assert (
        "100% of the images nearly repeat"
        in (monitor.diagnose([metrics, metrics], 0.5)["mode collapse"])
    )


def test_near_duplicates_equal_the_hand_computed_shares():
    """Features on a line, two groups and a row that is in none."""
    table = np.array([[0.0], [1.0], [3.0], [0.9], [10.0], [7.0]])
    group = np.array([1, 1, 1, 2, 2, 0])
    close = table * [[1], [0.1], [1], [1], [1], [1]]
    sums = {"each_real": table, "each_fake": close, "each_group": group}
    # Reals lie 1, 1, 4, 82.81, 82.81 from the next: the line is 0.4. The fakes' first two 0.01.
    assert evaluation_sums._nearest_distances(table, group) == pytest.approx(
        [1.0, 1.0, 4.0, 82.81, 82.81]
    )
    assert evaluation_sums._near_duplicate_fractions(sums) == {
        "near_duplicates": 0.4,
        "near_duplicates_real": 0.0,
    }


def test_samples_may_repeat_each_other_where_real_images_do():
    assert diagnose(*[{"near_duplicates": 0.9, "near_duplicates_real": 0.5}] * 2) == {}
    assert list(diagnose(*[{"near_duplicates": 0.9, "near_duplicates_real": 0.1}] * 2)) == [
        "mode collapse"
    ]
    assert (
        diagnose(
            {"near_duplicates": 0.1, "near_duplicates_real": 0.0},
            {"near_duplicates": 0.9, "near_duplicates_real": 0.0},
        )
        == {}
    )


def test_a_generator_that_ignores_its_latent_is_a_mode_collapse(store):
    """With the first layer's weights at 0 the images depend on the conditions alone."""
    config = tiny_gan(model__condition=False)
    state, classifier_params = start(config, store.spec), init_reference_classifier(store.spec)
    g = state.nets["g"]
    zeroed_net = g.replace(ema=g.ema | {"first": {"kernel": 0 * g.ema["first"]["kernel"]}})
    evaluate = jax.jit(gan.make_eval_step(config, store.spec, lambda x: x))
    sums = evaluate(
        state.replace(nets=state.nets | {"g": zeroed_net}),
        batch_of(store, config),
        classifier_params,
    )
    metrics = evaluation_sums.summarise(config, store.spec, jax.device_get(sums))
    assert metrics["spread"] < 1e-6
    assert "mode collapse" in monitor.diagnose([metrics, metrics], 0.5)
    assert rng.STREAMS.index("generator") == 6  # appended, never reordered
