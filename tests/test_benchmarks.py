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
from prodgen.errors import MissingInput, UsageError
from prodgen.run import family
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


def test_the_grid_is_learned_drawn_and_told(imported, tmp_path):
    coverage, out = imported("mode_coverage"), tmp_path / "grid.png"
    both = coverage.settings(tiny_gan(), 20)
    found = coverage.grid(both, str(out), seeds=1)
    assert set(found) == set(coverage.SETTINGS)
    for facts in found.values():
        assert 0 <= facts["modes"][0] <= 25 and 0 <= facts["quality"][0] <= 1
        assert 0 <= facts["reverse_kl"][0] <= np.log(25)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_real_points_cover_the_grid(imported):
    coverage = imported("mode_coverage")
    points = np.asarray(coverage.grid_points(jax.random.key(0), coverage.SAMPLES))[:, 0, :, 0]
    facts = coverage.grid_facts(points)
    assert facts["modes"] == 25 and facts["quality"] > 0.98 and facts["reverse_kl"] < 0.02


def test_stacked_pictures_take_each_picture_once_a_channel():
    which = stacked_modes.triples(5, 12)
    assert which.shape == (12, 3) and (np.sort(which[:5], axis=0) == np.arange(5)[:, None]).all()
    pictures = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 28, 28, 1), np.uint8)
    assert (stacked_modes.stack(pictures, which)[:, 0, 0] == which).all()
    counts = np.bincount([0] * 8, minlength=1000)
    assert stacked_modes.from_uniform(counts) == pytest.approx(np.log(1000))


@needs_torch
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("conditional", [True, False])
def test_the_networks_in_pytorch_are_as_large_as_ours(network, conditional):
    from benchmarks import torch_gan

    config, spec = tiny_gan(**NETWORKS[network]), spec_of(conditional=conditional)
    torch_gan.networks(config, spec)  # asserts it


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
        for t in range(family(config).real_batches(config))
    ]
    for variant in family(config).variants(config):
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
        torch_gan.refuse(tiny_gan(augment__policy="product"))


def judged(folder, frechet, counts=100, trained_with=()):
    """A run's folder with an evaluation.json of one number."""
    folder.mkdir()
    who = {"name": "home", "version": "3", "sha256": "abc", "resize": "none"}
    passport = {"metric": "frechet", "extractor": who, "data": "d", "split": "test",
                "real": counts, "fake": counts, "seed": 0, "options": [["sets", 3]]}  # fmt: skip
    number = {"value": frechet, "low": frechet - 1, "high": frechet + 1, "floor": 2.5,
              "subject": folder.name, "trained_with": trained_with, "caution": "",
              "passport": passport}  # fmt: skip
    found = {"distances": {"home-3": {"frechet": number}}}
    (folder / "evaluation.json").write_text(json.dumps(found))
    return folder


def test_judged_runs_stand_side_by_side_only_with_one_passport(imported, tmp_path):
    compare = imported("compare")
    folders = [judged(tmp_path / "a", 12.0), judged(tmp_path / "b", 34.0, trained_with=["abc"])]
    runs = {folder.name: compare.read(folder) for folder in folders}
    text = compare.table(runs, "home-3", ["frechet"])
    assert "| a | 12 ± 1 |" in text and "| b | (34 ± 1) |" in text and "| 2.5 |" in text
    runs["c"] = compare.read(judged(tmp_path / "c", 1.0, counts=50))
    with pytest.raises(UsageError, match="c was judged otherwise .* real: 100 and 50"):
        compare.table(runs, "home-3", ["frechet"])
    with pytest.raises(MissingInput, match="has not been judged"):
        compare.read(tmp_path)
