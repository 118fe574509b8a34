"""The sentinel's verdicts on readings made by hand, and on a generator planted to collapse."""

import jax
import numpy as np
import pytest

from prodgen.core import pixels, rng
from prodgen.evaluation import monitor
from prodgen.steps import evaluation_sums, gan
from tests.tiny import batch_of
from tests.tiny_gan import home_of, start, tiny_gan

WELL = {
    "frechet": 2.0, "grad_norm_g": 0.5, "spread": 0.9, "categories": 1.0, "d_margin": 0.6,
    "logit_gap": 1.0, "logits": 3.0, "out_of_range_fraction": 0.0,
}  # fmt: skip


def verdicts(*readings, progress=0.5):
    return monitor.diagnose([WELL | reading for reading in readings], progress)


def test_a_healthy_run_is_not_accused():
    assert verdicts({}, {"spread": 0.7}, {"spread": 1.2, "d_margin": 0.2}) == {}


def test_a_young_run_may_look_like_nothing_yet():
    young = {"spread": 0.01, "categories": 0.1, "out_of_range_fraction": 0.6}
    assert verdicts(young, young, progress=0.05) == {}


def test_narrow_pictures_twice_in_a_row_are_a_mode_collapse():
    assert (
        verdicts({"spread": 0.5}, {"spread": 0.2}, progress=0.3) != {}
    )  # a fall by more than half
    assert verdicts({"spread": 0.3}, {"spread": 0.2}, progress=0.3) == {}
    found = verdicts({"spread": 0.3}, {"spread": 0.2}, {"spread": 0.1}, progress=0.4)
    assert list(found) == ["mode collapse"] and "10%" in found["mode collapse"]


def test_a_sudden_fall_is_named_at_once():
    found = verdicts({"spread": 0.9}, {"spread": 0.15})
    assert "fell from 90% of the real images' to 15%" in found["mode collapse"]


def test_missing_categories_are_named():
    assert "25% of the categories" in verdicts({"categories": 0.25})["mode collapse"]


def test_a_discriminator_that_won_is_named_with_its_loss():
    found = verdicts({"d_margin": 1e-5, "logit_gap": 14.2})
    assert "1.0e-05 of that of random guessing" in found["discriminator won"]
    assert "differ by 14.2" in found["discriminator won"]


def test_divergence_is_named():
    assert "5000" in verdicts({"logits": 5000.0})["divergence"]
    assert "40%" in verdicts({"out_of_range_fraction": 0.4})["divergence"]
    assert "not finite" in verdicts({"frechet": float("nan")})["divergence"]
    assert "gradient of g" in verdicts({"grad_norm_g": 2e6})["divergence"]
    grown = verdicts({"grad_norm_vae": 8e4}, {"grad_norm_vae": 1e7})
    assert "gradient of vae has the norm 1.0e+07" in grown["divergence"]


def test_the_gradient_of_a_sum_over_large_pictures_is_no_divergence():
    assert verdicts({"grad_norm_vae": 8e4}, {"grad_norm_vae": 4e5}) == {}


def test_what_is_not_measured_accuses_nobody():
    readings = [{k: v for k, v in WELL.items() if k not in ("spread", "categories", "d_margin")}]
    assert monitor.diagnose(readings * 2, 0.5) == {}


def judged(store, config, made):
    """Readings of pictures float that stand for a generator's, in place of a training run."""
    home = home_of(store.spec)
    _, discriminator = gan.build_networks(config, store.spec)
    judge = jax.jit(evaluation_sums.make_sums(config, store.spec, discriminator))
    sums = {}
    for t in range(4):
        batch = batch_of(store, config, t)
        batch |= {"slot": batch["slot"] + 16 * t}
        real = pixels.to_float(batch["image"])
        fake = made(batch, real)
        found = judge(start(config, store.spec), batch, real, fake, fake, home)
        sums = {name: sums.get(name, 0) + np.asarray(v, np.float64) for name, v in found.items()}
    return evaluation_sums.summarise(config, store.spec, sums)


def test_one_picture_a_category_is_found_and_real_pictures_are_not_accused(store):
    config = tiny_gan()
    ids = store.ids("train")
    one = {k: pixels.to_float(store.fetch(ids[store.label[ids] == k][:1])["image"]) for k in (0, 1)}

    def planted(batch, real):
        return np.where(batch["label"][:, None, None, None] == 0, one[0], one[1])

    def perfect(batch, real):
        """Other real pictures of the same categories."""
        order = np.lexsort((np.arange(16), batch["label"]))
        after = np.empty(16, int)
        for k in (0, 1):
            mine = order[batch["label"][order] == k]
            after[mine] = np.roll(mine, 1)
        return real[after]

    found, fine = judged(store, config, planted), judged(store, config, perfect)
    assert found["spread"] < 1e-3 and fine["spread"] == pytest.approx(1.0, abs=1e-3)
    assert fine["frechet"] == pytest.approx(0.0, abs=1e-4 * max(found["frechet"], 1))
    assert monitor.diagnose([fine, fine], 0.5) == {}
    assert "mode collapse" in monitor.diagnose([fine, found], 0.5)  # at the first interval
    assert "mode collapse" in monitor.diagnose([found, found], 0.5)  # never healthy: the second


def test_a_few_pictures_far_apart_are_wide_and_a_collapse_nevertheless(store):
    """Four pictures a category, the colours and sizes of reals: their spread sees nothing."""
    config, ids = tiny_gan(), store.ids("train")
    few = [pixels.to_float(store.fetch(ids[store.label[ids] == k][:4])["image"]) for k in (0, 1)]

    def planted(batch, real):
        return np.stack([few[k][i % 4] for i, k in enumerate(batch["label"])])

    found = judged(store, config, planted)
    assert found["spread"] > monitor.MIN_SPREAD
    assert found["near_duplicates"] == 1.0 and found["near_duplicates_real"] < 0.5
    assert monitor.diagnose([found], 0.5) == {}
    assert (
        "100% of the images nearly repeat"
        in (monitor.diagnose([found, found], 0.5)["mode collapse"])
    )


def test_twins_by_hand():
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


def test_reals_that_repeat_themselves_excuse_samples_that_do():
    assert verdicts(*[{"near_duplicates": 0.9, "near_duplicates_real": 0.5}] * 2) == {}
    assert list(verdicts(*[{"near_duplicates": 0.9, "near_duplicates_real": 0.1}] * 2)) == [
        "mode collapse"
    ]
    assert (
        verdicts(
            {"near_duplicates": 0.1, "near_duplicates_real": 0.0},
            {"near_duplicates": 0.9, "near_duplicates_real": 0.0},
        )
        == {}
    )


def test_a_generator_that_ignores_its_latent_is_found(store):
    """The weights that read z, cut: what is left depends on the conditions alone."""
    config = tiny_gan(model__condition=False)
    state, home = start(config, store.spec), home_of(store.spec)
    g = state.nets["g"]
    cut = g.replace(ema=g.ema | {"first": {"kernel": 0 * g.ema["first"]["kernel"]}})
    judge = jax.jit(gan.make_eval_step(config, store.spec, lambda x: x))
    sums = judge(state.replace(nets=state.nets | {"g": cut}), batch_of(store, config), home)
    found = evaluation_sums.summarise(config, store.spec, jax.device_get(sums))
    assert found["spread"] < 1e-6
    assert "mode collapse" in monitor.diagnose([found, found], 0.5)
    assert rng.STREAMS.index("generator") == 6  # appended, never reordered
