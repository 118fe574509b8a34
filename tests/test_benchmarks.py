"""The programs under benchmarks/ start, and measure the networks that they claim to measure."""

import importlib
import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from benchmarks import stacked_modes
from prodgen.core.errors import MissingInput, UsageError
from prodgen.runs.run import get_step_module
from tests.tiny import ROOT, batch_of, spec_of
from tests.tiny_gan import NETWORKS, tiny_gan

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"
)
PROGRAMS = sorted(path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py"))


@pytest.fixture
def imported():
    """Import a benchmark, and take its flags away again: two programs may share a flag's name."""
    before = set(flags.FLAGS)

    def module(name):
        return importlib.import_module(f"benchmarks.{name}")

    yield module
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_can_be_imported(name, imported):
    if name.startswith("torch_"):
        pytest.importorskip("torch", reason="PyTorch is not installed")
    assert imported(name).__doc__


@pytest.mark.slow
def test_the_grid_experiment_trains_and_draws_a_figure(imported, tmp_path):
    coverage, out = imported("mode_coverage"), tmp_path / "grid.png"
    configs = coverage.make_configs(tiny_gan(), 20)
    results = coverage.run_grid(configs, str(out), seeds=1)
    assert set(results) == set(coverage.SETTINGS)
    for metrics in results.values():
        assert 0 <= metrics["modes"][0] <= 25 and 0 <= metrics["quality"][0] <= 1
        assert 0 <= metrics["reverse_kl"][0] <= np.log(25)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_real_points_cover_the_grid(imported):
    coverage = imported("mode_coverage")
    points = np.asarray(coverage.sample_grid(jax.random.key(0), coverage.NUM_SAMPLES))[:, 0, :, 0]
    metrics = coverage.measure_grid(points)
    assert metrics["modes"] == 25 and metrics["quality"] > 0.98 and metrics["reverse_kl"] < 0.02


def test_stacked_images_use_each_image_once_per_channel():
    triples = stacked_modes.make_triples(5, 12)
    assert (
        triples.shape == (12, 3) and (np.sort(triples[:5], axis=0) == np.arange(5)[:, None]).all()
    )
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 28, 28, 1), np.uint8)
    assert (stacked_modes.stack(images, triples)[:, 0, 0] == triples).all()
    counts = np.bincount([0] * 8, minlength=1000)
    assert stacked_modes.kl_to_uniform(counts) == pytest.approx(np.log(1000))


@needs_torch
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("conditional", [True, False])
def test_the_networks_in_pytorch_are_as_large_as_ours(network, conditional):
    from benchmarks import torch_gan

    config, spec = tiny_gan(**NETWORKS[network]), spec_of(conditional=conditional)
    torch_gan.build_networks(config, spec)  # asserts it


@needs_torch
@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("network", NETWORKS)
def test_pytorch_takes_the_same_steps(network, layout, store):
    import torch

    from benchmarks import torch_gan

    torch.set_num_threads(1)  # more would wait for each other where another test is at work
    config = tiny_gan(loss__penalty_every=2, **NETWORKS[network])
    update = torch_gan.make_update(config, store.spec, getattr(torch, layout))
    batches = [
        {name: torch.from_numpy(rows) for name, rows in batch_of(store, config, t).items()}
        for t in range(get_step_module(config).real_batches(config))
    ]
    for variant in get_step_module(config).variants(config):
        assert np.isfinite(update(batches, variant))


@needs_torch
def test_pytorch_doubles_and_halves_as_we_do():
    import torch

    from benchmarks import torch_gan
    from prodgen.models import resample

    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    for up, ours in ((True, resample.up), (False, resample.down)):
        theirs = torch_gan.Resample(3, up)(torch.from_numpy(x.transpose(0, 3, 1, 2)))
        np.testing.assert_allclose(
            theirs.numpy().transpose(0, 2, 3, 1), ours(jnp.asarray(x)), atol=1e-5
        )


@needs_torch
def test_pytorch_refuses_what_it_does_not_know():
    from benchmarks import torch_gan

    with pytest.raises(UsageError, match=r"config.augment.policy=product"):
        torch_gan.check_support(tiny_gan(augment__policy="product"))


def write_evaluation(folder, frechet, counts=100, trained_with=()):
    """A run's folder with an evaluation.json of one number."""
    folder.mkdir()
    extractor = {"name": "classifier", "version": "3", "sha256": "abc", "resize": "none"}
    spec = {"metric": "frechet", "extractor": extractor, "data": "d", "split": "test",
                "real": counts, "fake": counts, "seed": 0, "options": [["sets", 3]]}  # fmt: skip
    number = {"value": frechet, "low": frechet - 1, "high": frechet + 1, "real_baseline": 2.5,
              "subject": folder.name, "trained_with": trained_with, "caution": "",
              "measurement_spec": spec}  # fmt: skip
    record = {"distances": {"home-3": {"frechet": number}}}
    (folder / "evaluation.json").write_text(json.dumps(record))
    return folder


def test_only_runs_with_equal_measurement_specs_are_compared(imported, tmp_path):
    compare = imported("compare")
    folders = [
        write_evaluation(tmp_path / "a", 12.0),
        write_evaluation(tmp_path / "b", 34.0, trained_with=["abc"]),
    ]
    runs = {folder.name: compare.read_distances(folder) for folder in folders}
    text = compare.format_table(runs, "home-3", ["frechet"])
    assert "| a | 12 [11, 13] |" in text and "| b | (34 [33, 35]) |" in text and "| 2.5 |" in text
    runs["c"] = compare.read_distances(write_evaluation(tmp_path / "c", 1.0, counts=50))
    with pytest.raises(UsageError, match="c was evaluated differently .* real: 100 and 50"):
        compare.format_table(runs, "home-3", ["frechet"])
    with pytest.raises(MissingInput, match="has not been evaluated"):
        compare.read_distances(tmp_path)


def test_a_rank_correlation_by_hand(imported):
    spearman = imported("ladder").spearman
    rungs = np.arange(5)
    assert spearman(rungs, np.exp(rungs)) == pytest.approx(1)
    assert spearman(rungs, -rungs) == pytest.approx(-1)
    assert spearman(rungs, np.array([2, 1, 4, 3, 5])) == pytest.approx(1 - 6 * 4 / (5 * 24))
    # ranks 0.5, 0.5, 2, 3 of the second against 0, 1, 2, 3: 4.5 / sqrt(5 * 4.5)
    assert spearman(np.arange(4), np.array([7, 7, 8, 9])) == pytest.approx(4.5 / 22.5**0.5)
    assert spearman(rungs, np.full(5, 3.0)) == 0


@pytest.fixture
def dealt(imported):
    """The benchmark, and a deal of 10 each out of 80 rows of 8 categories."""
    ladder = imported("ladder")
    return ladder, ladder.Deal.of(np.arange(80) % 8, 10, seed=1)


def test_the_first_rung_of_every_ladder_changes_nothing(dealt, store):
    ladder, deal = dealt
    steps = ladder.ladders(8, 5)
    assert set(steps) >= {"blur", "noise", "missing categories", ladder.CHANCE}
    for steep in steps.values():
        first = steep.draw(deal, steep.levels[0])
        assert list(first.ids) == list(deal.pool[:10]) and not first.changed
        real = store.fetch(deal.pool[:10])["image"]
        np.testing.assert_array_equal(first.pictures(store), real)


def test_a_deal_keeps_its_groups_apart(dealt):
    ladder, deal = dealt
    groups = np.concatenate([deal.reference, deal.training, deal.pool])
    assert sorted(groups) == list(range(80)) and len(deal.reference) == len(deal.training) == 10
    with pytest.raises(UsageError, match="80 pictures are too few for 3 groups of 27"):
        ladder.Deal.of(np.zeros(80), 27, seed=0)


def test_a_blur_has_the_deviation_that_it_names(imported):
    blurred = imported("ladder").blurred
    dot = np.zeros((1, 33, 33, 1), np.uint8)
    dot[0, 16, 16] = 255
    edge = np.zeros((1, 33, 33, 3), np.uint8)
    edge[:, :, 17:] = 200
    found = blurred(edge, 2.0)[0, 5, :, 0].astype(float)
    slope, place = np.diff(found), np.arange(32) + 0.5
    centre = (slope * place).sum() / slope.sum()
    assert centre == pytest.approx(16.5, abs=0.02)
    spread = (slope * (place - centre) ** 2).sum() / slope.sum()
    assert spread == pytest.approx(4, rel=0.03)
    assert (blurred(np.full((1, 9, 9, 1), 77, np.uint8), 3.0) == 77).all()  # also at the border
    spot = blurred(dot, 1.0)[0, ..., 0]
    assert (spot == spot.T).all() and spot.argmax() == 16 * 33 + 16


def test_noise_has_the_deviation_that_it_names_and_is_repeatable(imported):
    with_noise = imported("ladder").with_noise
    grey = np.full((4, 32, 32, 3), 128, np.uint8)
    found = with_noise(grey, 20.0, seed=3)
    assert found.std() == pytest.approx(20, rel=0.03) and found.mean() == pytest.approx(128, abs=1)
    np.testing.assert_array_equal(found, with_noise(grey, 20.0, seed=3))
    assert with_noise(grey, 200.0, seed=3).min() == 0  # clipped, not wrapped


def test_missing_categories_are_filled_up_with_others(dealt):
    ladder, deal = dealt
    for count in (1, 4, 6):
        ids = ladder.missing(deal, count).ids
        assert len(np.unique(ids)) == 10 and set(ids) <= set(deal.pool)
        assert len(np.unique(deal.label[ids])) <= 8 - count
    gone = [set(range(8)) - set(deal.label[ladder.missing(deal, k).ids]) for k in (2, 4, 6)]
    assert ladder.most_missing([deal]) >= 6 and gone[0] <= gone[1] <= gone[2]


def test_copies_are_training_pictures_and_repeats_are_repeated(dealt):
    ladder, deal = dealt
    for share in (0.1, 0.5, 1.0):
        ids = ladder.copied(deal, share).ids
        assert np.isin(ids, deal.training).sum() == round(share * 10)
        assert len(np.unique(ids)) == 10
    assert len(np.unique(ladder.repeated(deal, 4).ids)) == 3  # 10 / 4, rounded up
    assert len(ladder.repeated(deal, 4).ids) == 10
    other = ladder.others(deal, 1).ids
    assert set(other) <= set(deal.pool) and len(np.unique(other)) == 10
    assert list(other) != list(deal.pool[:10])


def test_a_metric_is_judged_by_its_better_side(imported):
    ladder = imported("ladder")
    steps = {"blur": ladder.Ladder((0, 1, 2), ladder.blur, "pixels")}
    steps[ladder.CHANCE] = ladder.Ladder((0, 1, 2), ladder.others, "")
    chance = np.array([[1.0, 1.1, 0.9], [0.9, 1.0, 1.1]])
    columns = {"blur": np.array([[1.0, 1.1, 3.0], [1.0, 1.1, 3.0]]), ladder.CHANCE: chance}
    frechet = ladder.judged("pixels/frechet", columns, steps)["blur"]
    assert frechet["rank"] == pytest.approx(1) and frechet["means"] == [1.0, 1.1, 3.0]
    assert frechet["effect"] == pytest.approx(2 / chance.std(ddof=1))
    assert frechet["from"] == 2  # 0.1 is no more than chance
    recall = ladder.judged("pixels/recall", columns, steps)["blur"]
    assert recall["rank"] == pytest.approx(-1) and recall["from"] is None


def test_the_ladder_is_climbed_and_drawn(imported, store, tmp_path, monkeypatch):
    from prodgen.metrics import features

    ladder, out = imported("ladder"), tmp_path / "ladder.png"
    monkeypatch.setattr(ladder, "LOOKED", 8)
    found = ladder.study(store, [(features.pixels(), 24)], seeds=1, out=str(out))
    table = found["metrics"]
    assert set(table) == {
        *(f"pixels/{name}" for name in ladder.WORSE if name not in ("copies", "repeats", "blur")),
        *(f"pictures/{name}" for name in ("copies", "repeats", "blur")),
    }
    assert all(set(columns) == set(found["levels"]) for columns in table.values())
    assert table["pixels/frechet"]["noise"]["rank"] > 0.9
    assert table["pixels/gap"]["copies of training"]["rank"] > 0.8
    assert table["pictures/repeats"]["repetition"]["effect"] > 3
    json.dumps(found, allow_nan=False)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_the_speed_of_an_evaluation_is_measured(imported):
    from prodgen.metrics import features

    speed = imported("evaluation_speed")
    assert set(speed.load_extractors(16, "")) >= {"pixels", "classifier"}
    assert speed.measure_throughput(features.pixels(), 16, rounds=1) > 0
    assert set(speed.time_frechet(30, 8, rounds=1)) == {"from_rows", "from_moments"}
    assert speed.time_frechet(4, 8, rounds=2)["from_rows"] > 0


def test_simulated_people_have_histories_that_grow(imported, store):
    program = imported("personalise")
    raw = program.columns(store.fetch(np.arange(store.size)), store.spec)
    one = program.person(3, raw, store.spec)
    utility = one.utility(raw)
    assert np.std(utility) == pytest.approx(1.0)
    (few, _), (many, weights) = (program.history(one, utility, n) for n in (5, 40))
    np.testing.assert_array_equal(few, many[:5])
    assert len(set(many)) == 40 and set(weights) <= {0.3, 1.0, -1.0}
    bought, returned = utility[many[weights == 1]], utility[many[weights == -1]]
    assert bought.mean() > returned.mean()
    assert utility[many].mean() > utility.mean()  # half of what they meet follows their taste


def test_lift_is_the_share_in_the_top_decile_over_the_usual_one(imported):
    program = imported("personalise")
    one = program.Person(np.array([1.0]), 0)
    all_of_them, best = np.arange(100.0)[:, None], np.full((10, 1), 99.0)
    half = np.concatenate([best, np.zeros((10, 1))])
    found = program.shares(one, all_of_them, [all_of_them, all_of_them], [best, half])
    assert found == {program.ASKED: pytest.approx(10.0), program.READ: pytest.approx(5.0)}


@pytest.mark.slow
def test_lift_and_diversity_are_told_and_drawn(imported, tmp_path):
    program = imported("personalise")
    values = {n: {name: [1.0, 2.0, 3.0] for name in program.TARGET} for n in program.LENGTHS}
    assert program.told(values)[program.ASKED]["20"]["mean"] == 2.0
    program.draw(values, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
