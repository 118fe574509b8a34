"""Mode fit_prior on a small run: what then samples from it, and priors that do not fit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import prodgen.model
from prodgen.apps.common.sample_sources import source_of_run
from prodgen.core.errors import MissingInput, UsageError, WorkdirError
from prodgen.editing import fitted_prior, variations
from prodgen.model import Model
from tests.modes import run_mode
from tests.tiny import tiny


@pytest.fixture(scope="module")
def fitted_run(azimuth_run, azimuth_store, tmp_path_factory):
    """A copy of the run, with its fitted prior."""
    path = shutil.copytree(azimuth_run, tmp_path_factory.mktemp("fitted") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "store", lambda self: azimuth_store)
        files = run_mode("fit_prior", path, components=2)
    assert {file.name for file in files} == {"prior.npz", "manifest.json"}
    return path


@pytest.fixture(scope="module")
def models(fitted_run):
    """The run with its base prior, and with the fitted one."""
    return prodgen.model.load(fitted_run, prior="base"), prodgen.model.load(fitted_run)


def test_the_log_likelihoods_of_all_choices_are_recorded(fitted_run, models):
    with np.load(fitted_run / "prior.npz", allow_pickle=False) as file:
        best, base = float(file["log_likelihood"]), float(file["base_log_likelihood"])
        assert file["step"] == 120 and file["seed"] == 0
    entry = json.loads((fitted_run / "manifest.json").read_text())["files"]["prior.npz"]
    likelihoods = [choice["log_likelihood"] for choice in entry["choices"]]
    assert likelihoods == sorted(likelihoods, reverse=True) and likelihoods[0] == best
    assert entry["base_log_likelihood"] == pytest.approx(base, abs=1e-5)
    assert (models[0].prior_name, models[1].prior_name) == ("base", "fitted")
    assert set(models[1].prior.by_category) == {0, 1}


def test_the_same_command_writes_the_same_prior(fitted_run, azimuth_store, monkeypatch):
    before = (fitted_run / "prior.npz").read_bytes()
    monkeypatch.setattr(Model, "store", lambda self: azimuth_store)
    run_mode("fit_prior", fitted_run, components=2)
    assert (fitted_run / "prior.npz").read_bytes() == before


def test_a_latent_is_a_function_of_seed_index_and_label(models):
    base, model = models
    label = np.array([0, 1, 0, 1, -1])
    z = model.latents(np.arange(5), seed=3, label=label)
    np.testing.assert_array_equal(
        z[[3, 1]], model.latents(np.array([3, 1]), 3, label=label[:2] * 0 + 1)
    )
    np.testing.assert_array_equal(z, model.draw([3] * 5, range(5), label))
    assert not np.array_equal(z, base.latents(np.arange(5), seed=3))
    # The noise is that of the base prior: without components it is only placed elsewhere.
    overall = model.prior.overall
    noise = base.latents(np.arange(5), seed=3)[4]
    places = [overall.colour(np.float64(noise), k) for k in range(len(overall.weights))]
    assert any(np.allclose(z[4], place, rtol=1e-5) for place in places)


def test_samples_without_the_file_have_the_bytes_of_the_base_prior(
    azimuth_run, fitted_run, tmp_path
):
    outs = {}
    for name, run, prior in (
        ("without", azimuth_run, "auto"), ("base", fitted_run, "base"),
        ("auto", fitted_run, "auto"), ("fitted", fitted_run, "fitted"),
    ):  # fmt: skip
        files = run_mode("grid", run, tmp_path / name / "grid.png", n=4, prior=prior)
        entry = json.loads(files[1].read_text())["files"]["grid.png"]
        outs[name] = files[0].read_bytes(), entry["prior"]
    assert outs["without"] == outs["base"] and outs["base"][1] == "base"
    assert outs["auto"] == outs["fitted"] and outs["auto"][1] == "fitted"
    assert outs["auto"][0] != outs["base"][0]


def test_an_evaluation_names_the_prior(models):
    names = [source_of_run(model, 0).name for model in models]
    assert names[0].endswith("step 120") and names[1] == names[0] + ", fitted prior"


def test_a_variation_of_strength_0_is_the_product_under_a_fitted_prior(models):
    model, z = models[1], models[0].latents(np.array([7]))[0]
    rows = variations.perturb_latent(z, 0.0, 0, np.arange(3), model.prior, 1)
    np.testing.assert_allclose(rows, np.repeat(z[None], 3, axis=0), rtol=1e-4, atol=1e-5)
    row = variations.perturb_latent(z, 0.5, 0, np.array([2]), model.prior, 1)
    rows = variations.perturb_latent(z, 0.5, 0, np.arange(3), model.prior, 1)
    np.testing.assert_array_equal(rows[2:], row)


def test_an_absent_prior_is_refused_with_the_command_that_fits_it(azimuth_run):
    with pytest.raises(MissingInput, match="no fitted prior") as error:
        prodgen.model.load(azimuth_run, prior="fitted")
    assert f"--mode=fit_prior --workdir={azimuth_run} --step=120" in error.value.next_step
    with pytest.raises(UsageError, match="known: auto, base, fitted"):
        prodgen.model.load(azimuth_run, prior="mixture")


@pytest.mark.parametrize(
    ("name", "value"),
    [("step", 119), ("fingerprint", "0a0b0c0d"), ("weights_sha256", "0"), ("spec_sha256", "0")],
)
def test_the_prior_of_another_run_or_checkpoint_is_refused(fitted_run, models, name, value):
    run = models[0].run
    with np.load(fitted_run / "prior.npz", allow_pickle=False) as file:
        arrays = dict(file) | {name: np.array(value)}
    with pytest.raises(UsageError, match=f"another run or checkpoint .{name} {value}") as error:
        fitted_prior._check_identity(arrays, run, fitted_run / "prior.npz")
    assert "--mode=fit_prior" in error.value.next_step


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", None])
def test_a_damaged_prior_is_refused(fitted_run, tmp_path, content):
    path = shutil.copytree(fitted_run, tmp_path / "run")
    file = path / "prior.npz"
    file.write_bytes(file.read_bytes()[:-40] if content is None else content)
    with pytest.raises(WorkdirError, match="prior.npz is damaged"):
        prodgen.model.load(path)
    assert prodgen.model.load(path, prior="base").prior is None


def test_a_family_without_an_encoder_has_no_prior_to_fit():
    class Run:
        path, config, step_module = Path("runs/gan"), tiny(model__name="dcgan"), object()

    for choice in ("auto", "base"):
        assert fitted_prior.open_prior(Run, choice) is None
    with pytest.raises(UsageError, match="dcgan run has no encoder"):
        fitted_prior.open_prior(Run, "fitted")
