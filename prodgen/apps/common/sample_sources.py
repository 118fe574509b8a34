"""The images that mode evaluate measures: a run's samples, or images of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from prodgen.apps.common import external_images, reference_images
from prodgen.apps.common.output import say
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
    images, real_source, real_sizes = external_images.open_folder(folder), None, []
    if options.reference or model is None:
        data, real_source = reference_images.open_reference(options.reference)
    else:
        data = model.config.data
    # Folders and tables have no resolution of their own: it follows from the files on both sides.
    if real_source is not None:
        real_sizes, refusals = reference_images.sample_sizes(real_source, data)
        reference_images.check_sample(options.reference, real_source, real_sizes, refusals)
        sizes, _ = reference_images.sample_sizes(images, data)
        data.resolution = reference_images.choose_resolution(folder, sizes, real_sizes)
    # The images come first: too few of them end the command before the reference is prepared.
    external = external_images.read_images(folder, images, data.resolution, data.fit)
    if options.reference or model is None:
        store = reference_images.open_store(options.reference, data, real_source, say)
    else:
        store = model.store()
    source = external_images.make_source(external, store, data, options.seed, real_sizes)
    return source, store, data


def source_of_run(model: Model, seed: int) -> offline.SampleSource:
    """A run's samples, one set a seed, from `seed` on."""

    def make(n: int) -> list[offline.SampleSet]:
        return [sample_with_conditions(model, seed + i, n) for i in range(NUM_SEEDS)]

    # A measure is biased if training followed the gradient of its extractor: its sha256 is noted.
    trained_with: tuple[str, ...] = ()
    if model.config.model.name == "vaegan":
        trained_with = (model.run.record[model.config.loss.perceptual]["sha256"],)
    name = f"{model.run.path.name}, step {model.run.step}"
    name += ", fitted prior" if model.prior else ""
    return offline.SampleSource(name, make, trained_with)


def sample_with_conditions(model: Model, seed: int, n: int) -> offline.SampleSet:
    """n images uint8 [n, R, R, C] as `Model.sample` makes them, and their conditions."""
    conditions = model.conditions.pick(seed, np.arange(n))
    samples = model.decode(model.latents(np.arange(n), seed, label=conditions["label"]), conditions)
    return samples, conditions if model.config.model.condition else None
