"""The programs in benchmarks/ can be imported, and their functions compute what they claim."""

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
def import_benchmark():
    """Import a benchmark, and remove its flags afterwards, since programs share names of flags."""
    names_before = set(flags.FLAGS)

    def module(name):
        return importlib.import_module(f"benchmarks.{name}")

    yield module
    for name in set(flags.FLAGS) - names_before:
        delattr(flags.FLAGS, name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_can_be_import_benchmark(name, import_benchmark):
    if name.startswith("torch_"):
        pytest.importorskip("torch", reason="PyTorch is not installed")
    assert import_benchmark(name).__doc__


@pytest.mark.slow
def test_the_grid_experiment_trains_and_draws_a_figure(import_benchmark, tmp_path):
    coverage, out = import_benchmark("mode_coverage"), tmp_path / "grid.png"
    configs = coverage.make_configs(tiny_gan(), 20)
    results = coverage.run_grid(configs, str(out), seeds=1)
    assert set(results) == set(coverage.SETTINGS)
    for metrics in results.values():
        assert 0 <= metrics["modes"][0] <= 25 and 0 <= metrics["quality"][0] <= 1
        assert 0 <= metrics["reverse_kl"][0] <= np.log(25)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_real_points_cover_the_grid(import_benchmark):
    coverage = import_benchmark("mode_coverage")
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
def test_the_networks_in_pytorch_have_as_many_weights(network, conditional):
    from benchmarks import torch_gan

    config, spec = tiny_gan(**NETWORKS[network]), spec_of(conditional=conditional)
    torch_gan.build_networks(config, spec)  # asserts it


@needs_torch
@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("network", NETWORKS)
def test_pytorch_runs_every_variant_of_the_step(network, layout, store):
    import torch

    from benchmarks import torch_gan

    torch.set_num_threads(1)  # more threads would compete with other tests
    config = tiny_gan(loss__penalty_every=2, **NETWORKS[network])
    update = torch_gan.make_update(config, store.spec, getattr(torch, layout))
    batches = [
        {name: torch.from_numpy(rows) for name, rows in batch_of(store, config, t).items()}
        for t in range(get_step_module(config).real_batches(config))
    ]
    for variant in get_step_module(config).variants(config):
        assert np.isfinite(update(batches, variant))


@needs_torch
def test_pytorch_resamples_as_the_flax_module_does():
    import torch

    from benchmarks import torch_gan
    from prodgen.models import resample

    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    for up, resample_fn in ((True, resample.up), (False, resample.down)):
        torch_output = torch_gan.Resample(3, up)(torch.from_numpy(x.transpose(0, 3, 1, 2)))
        np.testing.assert_allclose(
            torch_output.numpy().transpose(0, 2, 3, 1), resample_fn(jnp.asarray(x)), atol=1e-5
        )


@needs_torch
def test_pytorch_refuses_unsupported_settings():
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


def test_only_runs_with_equal_measurement_specs_are_compared(import_benchmark, tmp_path):
    compare = import_benchmark("compare")
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


def test_the_rank_correlation_equals_hand_computed_values(import_benchmark):
    spearman = import_benchmark("ladder").spearman
    rungs = np.arange(5)
    assert spearman(rungs, np.exp(rungs)) == pytest.approx(1)
    assert spearman(rungs, -rungs) == pytest.approx(-1)
    assert spearman(rungs, np.array([2, 1, 4, 3, 5])) == pytest.approx(1 - 6 * 4 / (5 * 24))
    # ranks 0.5, 0.5, 2, 3 of the second against 0, 1, 2, 3: 4.5 / sqrt(5 * 4.5)
    assert spearman(np.arange(4), np.array([7, 7, 8, 9])) == pytest.approx(4.5 / 22.5**0.5)
    assert spearman(rungs, np.full(5, 3.0)) == 0


@pytest.fixture
def ladder_and_split(import_benchmark):
    """The benchmark, and a split of 10 each out of 80 rows of 8 categories."""
    ladder = import_benchmark("ladder")
    return ladder, ladder.Split.draw(np.arange(80) % 8, 10, seed=1)


def test_the_first_rung_of_every_ladder_changes_nothing(ladder_and_split, store):
    ladder, split = ladder_and_split
    ladders = ladder.make_ladders(8, 5)
    assert set(ladders) >= {"blur", "noise", "missing categories", ladder.CHANCE}
    for one in ladders.values():
        first = one.degrade(split, one.levels[0])
        assert list(first.ids) == list(split.pool[:10]) and not first.is_degraded
        real = store.fetch(split.pool[:10])["image"]
        np.testing.assert_array_equal(first.fetch(store), real)


def test_the_groups_of_a_split_are_disjoint(ladder_and_split):
    ladder, split = ladder_and_split
    groups = np.concatenate([split.reference, split.training, split.pool])
    assert sorted(groups) == list(range(80)) and len(split.reference) == len(split.training) == 10
    with pytest.raises(UsageError, match="80 images are too few for 3 groups of 27"):
        ladder.Split.draw(np.zeros(80), 27, seed=0)


def test_a_blur_has_its_standard_deviation(import_benchmark):
    blur_images = import_benchmark("ladder").blur_images
    dot = np.zeros((1, 33, 33, 1), np.uint8)
    dot[0, 16, 16] = 255
    edge = np.zeros((1, 33, 33, 3), np.uint8)
    edge[:, :, 17:] = 200
    values = blur_images(edge, 2.0)[0, 5, :, 0].astype(float)
    slope, position = np.diff(values), np.arange(32) + 0.5
    centre = (slope * position).sum() / slope.sum()
    assert centre == pytest.approx(16.5, abs=0.02)
    variance = (slope * (position - centre) ** 2).sum() / slope.sum()
    assert variance == pytest.approx(4, rel=0.03)
    assert (blur_images(np.full((1, 9, 9, 1), 77, np.uint8), 3.0) == 77).all()  # also at the border
    spot = blur_images(dot, 1.0)[0, ..., 0]
    assert (spot == spot.T).all() and spot.argmax() == 16 * 33 + 16


def test_noise_has_its_standard_deviation_and_is_reproducible(import_benchmark):
    add_noise = import_benchmark("ladder").add_noise
    grey = np.full((4, 32, 32, 3), 128, np.uint8)
    noisy = add_noise(grey, 20.0, seed=3)
    assert noisy.std() == pytest.approx(20, rel=0.03) and noisy.mean() == pytest.approx(128, abs=1)
    np.testing.assert_array_equal(noisy, add_noise(grey, 20.0, seed=3))
    assert add_noise(grey, 200.0, seed=3).min() == 0  # clipped, not wrapped


def test_images_of_removed_categories_are_replaced_by_others(ladder_and_split):
    ladder, split = ladder_and_split
    for count in (1, 4, 6):
        ids = ladder.remove_categories(split, count).ids
        assert len(np.unique(ids)) == 10 and set(ids) <= set(split.pool)
        assert len(np.unique(split.label[ids])) <= 8 - count
    missing_categories = [
        set(range(8)) - set(split.label[ladder.remove_categories(split, k).ids]) for k in (2, 4, 6)
    ]
    assert (
        ladder.max_missing_categories([split]) >= 6
        and missing_categories[0] <= missing_categories[1] <= missing_categories[2]
    )


def test_copies_are_training_images_and_repetitions_repeat(ladder_and_split):
    ladder, split = ladder_and_split
    for share in (0.1, 0.5, 1.0):
        ids = ladder.insert_copies(split, share).ids
        assert np.isin(ids, split.training).sum() == round(share * 10)
        assert len(np.unique(ids)) == 10
    assert len(np.unique(ladder.repeat(split, 4).ids)) == 3  # 10 / 4, rounded up
    assert len(ladder.repeat(split, 4).ids) == 10
    other = ladder.select_others(split, 1).ids
    assert set(other) <= set(split.pool) and len(np.unique(other)) == 10
    assert list(other) != list(split.pool[:10])


def test_a_metric_is_summarised_by_its_better_direction(import_benchmark):
    ladder = import_benchmark("ladder")
    ladders = {"blur": ladder.Ladder((0, 1, 2), ladder.blur, "pixels")}
    ladders[ladder.CHANCE] = ladder.Ladder((0, 1, 2), ladder.select_others, "")
    chance = np.array([[1.0, 1.1, 0.9], [0.9, 1.0, 1.1]])
    columns = {"blur": np.array([[1.0, 1.1, 3.0], [1.0, 1.1, 3.0]]), ladder.CHANCE: chance}
    frechet = ladder.summarise("pixels/frechet", columns, ladders)["blur"]
    assert frechet["rank"] == pytest.approx(1) and frechet["means"] == [1.0, 1.1, 3.0]
    assert frechet["effect"] == pytest.approx(2 / chance.std(ddof=1))
    assert frechet["from"] == 2  # 0.1 is no more than chance
    recall = ladder.summarise("pixels/recall", columns, ladders)["blur"]
    assert recall["rank"] == pytest.approx(-1) and recall["from"] is None


def test_the_ladder_study_runs_and_draws_a_figure(import_benchmark, store, tmp_path, monkeypatch):
    from prodgen.metrics import features

    ladder, out = import_benchmark("ladder"), tmp_path / "ladder.png"
    monkeypatch.setattr(ladder, "NUM_COMPARED", 8)
    result = ladder.run_study(store, [(features.pixels(), 24)], seeds=1, out=str(out))
    table = result["metrics"]
    assert set(table) == {
        *(
            f"pixels/{name}"
            for name in ladder.BETTER_DIRECTION
            if name not in ("copies", "repeats", "blur")
        ),
        *(f"pictures/{name}" for name in ("copies", "repeats", "blur")),
    }
    assert all(set(columns) == set(result["levels"]) for columns in table.values())
    assert table["pixels/frechet"]["noise"]["rank"] > 0.9
    assert table["pixels/gap"]["copies of training"]["rank"] > 0.8
    assert table["pictures/repeats"]["repetition"]["effect"] > 3
    json.dumps(result, allow_nan=False)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_the_speed_of_an_evaluation_is_measured(import_benchmark):
    from prodgen.metrics import features

    speed = import_benchmark("evaluation_speed")
    assert set(speed.load_extractors(16, "")) >= {"pixels", "classifier"}
    assert speed.measure_throughput(features.pixels(), 16, rounds=1) > 0
    assert set(speed.time_frechet(30, 8, rounds=1)) == {"from_rows", "from_moments"}
    assert speed.time_frechet(4, 8, rounds=2)["from_rows"] > 0


def test_simulated_people_have_histories_that_grow(import_benchmark, store):
    program = import_benchmark("personalise")
    columns = program.condition_columns(store.fetch(np.arange(store.size)), store.spec)
    person = program.make_person(3, columns, store.spec)
    utility = person.utility(columns)
    assert np.std(utility) == pytest.approx(1.0)
    (short, _), (long, weights) = (program.simulate_history(person, utility, n) for n in (5, 40))
    np.testing.assert_array_equal(short, long[:5])
    assert len(set(long)) == 40 and set(weights) <= {0.3, 1.0, -1.0}
    assert utility[long[weights == 1]].mean() > utility[long[weights == -1]].mean()
    assert utility[long].mean() > utility.mean()  # half of the products are shown by taste


def test_lift_is_the_share_in_the_top_decile_over_that_of_unconditional_samples(import_benchmark):
    program = import_benchmark("personalise")
    person = program.Person(np.array([1.0]), 0)
    products, best = np.arange(100.0)[:, None], np.full((10, 1), 99.0)
    half = np.concatenate([best, np.zeros((10, 1))])
    lifts = program.compute_lifts(person, products, [products, products], [best, half])
    assert lifts[program.CONDITION_LIFT] == pytest.approx(10.0)
    assert lifts[program.IMAGE_LIFT] == pytest.approx(5.0) and len(lifts) == 2


@pytest.mark.slow
def test_lift_and_diversity_are_summarised_and_drawn(import_benchmark, tmp_path):
    program = import_benchmark("personalise")
    values = {
        n: {name: [1.0, 2.0, 3.0] for name in program.TARGETS} for n in program.HISTORY_LENGTHS
    }
    assert program.summarise(values)[program.CONDITION_LIFT]["20"]["mean"] == 2.0
    program.draw(values, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
