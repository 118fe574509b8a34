"""The prior of a VAE's latents that is fitted after training, and its file in the run.

The codes of real products do not fill the prior that a VAE is trained with: in places where the
prior has mass and the aggregate posterior has none, the decoder never learnt (Rosca et al. 2018).
A mixture of Gaussians for each category, fitted to the codes (Ghosh et al. 2020, section 4), is
sampled in its place. editing/prior_fitting.py fits it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from prodgen.config import registry
from prodgen.core import trees
from prodgen.core.errors import MissingInput, UsageError, WorkdirError
from prodgen.models.gaussian_mixture import GaussianMixture
from prodgen.runs.run import Run

FILE = "prior.npz"
OVERALL = -1  # the category under which the file keeps the mixture of all images


@dataclasses.dataclass(frozen=True)
class FittedPrior:
    """A mixture for each category, by its index, and one of all images for every other label.

    digest: sha256 of the file, in hex.
    """

    overall: GaussianMixture
    by_category: Mapping[int, GaussianMixture]
    digest: str = ""

    def mixture(self, label: int) -> GaussianMixture:
        """The mixture of a label; -1 is an unknown one."""
        return self.by_category.get(int(label), self.overall)

    def transform(
        self, noise: np.ndarray, uniforms: np.ndarray, label: np.ndarray, temperature: float = 1.0
    ) -> np.ndarray:
        """Latents float32 [N, Z] from standard normal noise [N, Z] and uniforms [N] in [0, 1).

        A uniform chooses the component, the noise the place in it. The temperature scales the
        noise: at 0 every latent is the mean of its component.
        """
        rows = []
        for e, u, category in zip(np.float64(noise), uniforms, label, strict=True):
            mixture = self.mixture(category)
            rows.append(mixture.colour(temperature * e, pick_component(mixture.weights, u)))
        return np.array(rows, np.float32).reshape(noise.shape)

    def perturb(
        self,
        z: np.ndarray,
        noise: np.ndarray,
        uniforms: np.ndarray,
        strength: float,
        label: int,
        new_label: np.ndarray,
    ) -> np.ndarray:
        """Latents float32 [N, Z] near z [Z] of a product with a label; uniforms [N, 3].

        With F e + m = z in a component of z, e' = sqrt(1 - s^2) e + s noise. The component stays
        with probability 1 - s, and is drawn anew otherwise or where the label is another one. If z
        is a sample of the prior, so is each result: 0 gives z back, 1 is a fresh sample.
        """
        source = self.mixture(label)
        share = source.responsibilities(np.float64(z)[None])[0]
        rows = []
        for e, u, category in zip(np.float64(noise), uniforms, new_label, strict=True):
            old = pick_component(share, u[0])
            old_noise = source.whiten(np.float64(z)[None], old)[0]
            target = self.mixture(category)
            stays = target is source and u[1] >= strength
            new = old if stays else pick_component(target.weights, u[2])
            rows.append(target.colour(np.sqrt(1 - strength**2) * old_noise + strength * e, new))
        return np.array(rows, np.float32).reshape(noise.shape)


def pick_component(weights: np.ndarray, uniform: float) -> int:
    """The component whose part of [0, 1), in proportion to its weight, holds the uniform."""
    edges = np.cumsum(weights)
    return int(min(np.searchsorted(edges, uniform * edges[-1], side="right"), len(weights) - 1))


def has_prior(run: Run) -> bool:
    """Whether the run's family has latents with a posterior, to which a prior can be fitted."""
    return hasattr(run.step_module, "make_encode")


def require_prior(run: Run) -> None:
    """UsageError for a run of a family without an encoder."""
    if not has_prior(run):
        raise UsageError(
            f"a {run.config.model.name} run has no encoder, and so no codes to fit a prior to",
            "use a run of a family with an encoder: vae, vaegan",
        )


def identify(run: Run) -> dict[str, np.ndarray]:
    """What a prior belongs to: the run, the checkpoint, its weights and the data's spec."""
    hasher = hashlib.sha256()
    for path, leaf in trees.flatten_with_paths(run.step_module.eval_params(run.state)).items():
        hasher.update(path.encode() + np.asarray(leaf).tobytes())
    spec = json.dumps(run.spec.to_json(), sort_keys=True)
    return {
        "fingerprint": np.array(run.record["fingerprint"]),
        "step": np.array(run.step),
        "weights_sha256": np.array(hasher.hexdigest()),
        "spec_sha256": np.array(hashlib.sha256(spec.encode()).hexdigest()),
    }


def encode(prior: FittedPrior, run: Run, more: Mapping[str, np.ndarray]) -> bytes:
    """The file's content: arrays only. Row i of each `_i` array is a component of category[i]."""
    mixtures = {OVERALL: prior.overall, **prior.by_category}
    category = [np.full(len(mixture.weights), label) for label, mixture in mixtures.items()]
    arrays = {
        "category": np.concatenate(category),
        "weights": np.concatenate([mixture.weights for mixture in mixtures.values()]),
        "means": np.concatenate([mixture.means for mixture in mixtures.values()]),
        "factors": np.concatenate([mixture.factors for mixture in mixtures.values()]),
    }
    out = io.BytesIO()
    np.savez(out, **identify(run), **arrays, **more)
    return out.getvalue()


def open_prior(run: Run, choice: str) -> FittedPrior | None:
    """The fitted prior that samples of a run come from; None for the prior of its training.

    choice: "base", "fitted", or "auto": the fitted one where the run has it. UsageError where the
    file belongs to another run or checkpoint; MissingInput where "fitted" has no file.
    """
    if choice not in ("", *registry.PRIOR_CHOICES):
        raise UsageError(
            f"prior={choice!r} is not known; known: {', '.join(registry.PRIOR_CHOICES)}",
            "choose one of the known names",
        )
    if choice == "fitted":
        require_prior(run)
    path = run.path / FILE
    if choice == "base" or not has_prior(run):
        return None
    if not path.is_file():
        if choice != "fitted":
            return None
        raise MissingInput(f"{run.path} has no fitted prior (no {FILE})", _advise(run))
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        _check_identity(arrays, run, path)
        return _decode(arrays, hashlib.sha256(content).hexdigest())
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise WorkdirError(f"{path} is damaged ({error})", _advise(run)) from None


def _advise(run: Run) -> str:
    return (
        f"fit it: run_sample.py --mode=fit_prior --workdir={run.path} --step={run.step}; or sample "
        "from the base prior"
    )


def _check_identity(arrays: Mapping[str, np.ndarray], run: Run, path: Path) -> None:
    """UsageError where the prior was fitted to other weights than those of the run."""
    for name, value in identify(run).items():
        if arrays[name] != value:
            raise UsageError(
                f"{path} was fitted to another run or checkpoint ({name} {arrays[name]}, "
                f"here {value})",
                _advise(run),
            )


def _decode(arrays: Mapping[str, np.ndarray], digest: str) -> FittedPrior:
    """The mixtures of a file's arrays; ValueError where they do not fit together."""
    category, latent = arrays["category"], arrays["means"].shape[-1]
    rows = [arrays[name] for name in ("weights", "means", "factors")]
    if {len(array) for array in rows} != {len(category)} or not (category == OVERALL).any():
        raise ValueError("the arrays have unlike lengths")
    if rows[2].shape[1:] not in ((latent,), (latent, latent)):
        raise ValueError("the covariances have another shape than the means")
    mixtures = {
        int(label): GaussianMixture(*(array[category == label] for array in rows))
        for label in np.unique(category)
    }
    return FittedPrior(mixtures.pop(OVERALL), mixtures, digest)
