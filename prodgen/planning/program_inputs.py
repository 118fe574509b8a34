"""The arguments of a run's programs as shapes: no image is read and no weight is computed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from prodgen.core.errors import ProdgenError
from prodgen.core.types import Batch, Spec
from prodgen.data import catalogue, prepare
from prodgen.data.store import Store
from prodgen.models import classifier, lpips
from prodgen.runs.run import build_run_state
from prodgen.runs.workdir import CONFIG_FILE, read_record

ASSUMED_CATEGORIES = 16  # of data that nobody has prepared yet
ASSUMED_CHANNELS = 3


def find_spec(config: ConfigDict, path: Path) -> tuple[Spec, str]:
    """The spec of a run's data and a sentence that says where it comes from; no image is read.

    path: the run's folder, which need not exist. The spec is that of the run, of the embedded
    catalogue, of a prepared store, or assumed.
    """
    data = config.data
    if (path / CONFIG_FILE).exists():
        return Spec.from_json(read_record(path)["data"]["spec"]), "the data of the run"
    if data.source == "catalogue":
        return make_catalogue_spec(data.resolution, data.channels or 3), "the embedded catalogue"
    store = find_store(data)
    if store is not None:
        return store.spec, f"the prepared data in {store.path}"
    classes = tuple(f"category {i}" for i in range(ASSUMED_CATEGORIES))
    channels = data.channels or ASSUMED_CHANNELS
    return Spec(data.resolution, channels, classes), (
        f"assumed, as the data are not prepared: {channels} channels, {len(classes)} categories, "
        "no attributes"
    )


def make_catalogue_spec(resolution: int, channels: int) -> Spec:
    """The spec of the embedded catalogue's images."""
    classes = catalogue.Catalogue(1, resolution).classes()
    return Spec(resolution, channels, classes, catalogue.SCHEMA)


def find_store(data: ConfigDict) -> Store | None:
    """The prepared store of config.data; None where it is not prepared or the data are absent."""
    try:
        source = prepare.source_from_config(data)
        name = f"{data.source}-{prepare.compute_key(source, data)}"
        return Store.open(Path(data.cache_dir).expanduser() / name)
    except ProdgenError:
        return None


def build_program_inputs(
    family: ModuleType, config: ConfigDict, spec: Spec, mesh: Any
) -> tuple[Any, tuple[Batch, ...], tuple[dict[str, Any], Any]]:
    """(state, batches, (frozen, seed)) of a train step, as jax.ShapeDtypeStruct leaves."""
    state = build_run_state(config, spec, mesh)
    batches = (build_batch(spec, config.train.batch_size),) * family.real_batches(config)
    frozen = {
        name: build_frozen_network(name, config, spec) for name in family.frozen_networks(config)
    }
    return state, batches, (frozen, jax.ShapeDtypeStruct((), np.int32))


def build_batch(spec: Spec, size: int) -> Batch:
    """The shapes of a batch of `size` images."""
    shapes = {
        "image": ((size, *spec.shape), np.uint8),
        "label": ((size,), np.int32),
        "attributes": ((size, spec.num_columns), np.float32),
        "known": ((size, spec.num_columns), np.bool_),
        "id": ((size,), np.int32),
        "slot": ((size,), np.int32),
    }
    return {name: jax.ShapeDtypeStruct(*shape) for name, shape in shapes.items()}


def build_frozen_network(name: str, config: ConfigDict, spec: Spec) -> Any:
    """The shapes of a network that the step uses and does not train.

    The reference classifier of data without labels is the embedded catalogue's. MissingInput where
    the file of LPIPS is absent.
    """
    if name == "classifier":
        if len(spec.classes) <= 1 and not spec.attributes:
            spec = make_catalogue_spec(spec.resolution, spec.channels)
        network = classifier.build(spec)
        key = jax.random.key(0)
        return jax.eval_shape(lambda: network.init(key, classifier.dummy_image(spec))["params"])
    path = Path(config.loss.perceptual_path).expanduser()
    return jax.eval_shape(lambda: lpips.load(path))
