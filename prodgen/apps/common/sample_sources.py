"""The images that mode evaluate measures: a run's samples, or images of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from prodgen.apps.common import external_images
from prodgen.apps.common.output import say
from prodgen.data import prepare
from prodgen.data.store import Store
from prodgen.evaluation import offline
from prodgen.model import Model

NUM_SEEDS = 3  # sampling seeds: --seed and the two after it


def open_source(
    model: Model | None, options: Any
) -> tuple[offline.SampleSource, Store, ConfigDict]:
    """The images to evaluate, the real ones, and the config section of the real ones.

    options: those of mode evaluate.
    """
    if not options.images:
        return source_of_run(model, options.seed), model.store(), model.config.data
    folder = Path(options.images)
    if options.reference or model is None:
        data = external_images.reference_data_config(options.reference, folder)
        store = prepare.open_or_prepare(data, say)
    else:
        data, store = model.config.data, model.store()
    return external_images.source_of_folder(folder, store, data, options.seed), store, data


def source_of_run(model: Model, seed: int) -> offline.SampleSource:
    """A run's samples, one set a seed, from `seed` on."""

    def make(n: int) -> list[offline.SampleSet]:
        return [sample_with_conditions(model, seed + i, n) for i in range(NUM_SEEDS)]

    # A measure is biased if training followed the gradient of its extractor: its sha256 is noted.
    trained_with: tuple[str, ...] = ()
    if model.config.model.name == "vaegan":
        trained_with = (model.run.record[model.config.loss.perceptual]["sha256"],)
    return offline.SampleSource(f"{model.run.path.name}, step {model.run.step}", make, trained_with)


def sample_with_conditions(model: Model, seed: int, n: int) -> offline.SampleSet:
    """n images uint8 [n, R, R, C] as `Model.sample` makes them, and their conditions."""
    conditions = model.conditions.pick(seed, np.arange(n))
    samples = model.decode(model.latents(np.arange(n), seed), conditions)
    return samples, conditions if model.config.model.condition else None
