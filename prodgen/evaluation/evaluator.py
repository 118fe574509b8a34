"""The metrics of a run's state on a held-out split, while it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from prodgen.core.failpoints import failpoint
from prodgen.core.types import Batch, Spec
from prodgen.data.store import Store
from prodgen.parallel import compilation, device_mesh


def iterate_padded_batches(
    store: Store, ids: np.ndarray, size: int, slots: np.ndarray | None = None
) -> Iterator[Batch]:
    """Batches of exactly `size` rows over `ids`, in order; padding rows have slot -1.

    slots: the rows of each batch that are read; None: all.
    """
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        padded_ids = np.concatenate([part, np.repeat(part[-1:], size - len(part))])
        slot = np.arange(start, start + size, dtype=np.int32)
        slot[len(part) :] = -1
        if slots is not None:
            padded_ids, slot = padded_ids[slots], slot[slots]
        yield store.fetch(padded_ids) | {"slot": slot}


class Evaluator:
    """Validation metrics of a state: the same images and the same noise each time.

    The batches stay on the devices: an evaluation reads nothing from the store.
    """

    def __init__(
        self, family: ModuleType, config: ConfigDict, store: Store, mesh: Mesh, split: str
    ):
        self._family, self._config, self._spec = family, config, store.spec
        limit, size = config.train.evaluate_examples, config.train.batch_size
        ids = store.evenly_spaced_ids(split, limit) if limit else store.ids(split)
        local_slots = device_mesh.local_slots(mesh, size)
        self._batches = [
            device_mesh.to_global_arrays(mesh, batch)
            for batch in iterate_padded_batches(store, ids, size, local_slots)
        ]
        self._seed = device_mesh.replicate(mesh, np.int32(config.seed))
        self._step = compilation.make_evaluation_step(family, config, store.spec, mesh)

    def compile(self, state: Any, frozen: Any) -> None:
        """Compile the program for these arguments, into the compile cache, without running it."""
        if self._batches:
            compilation.compile_aot(self._step, state, self._batches[0], (frozen, self._seed))

    def __call__(
        self, state: Any, frozen: Any, report_progress: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """The family's metrics, by name; empty where the split has no images.

        report_progress: is called after each batch.
        """
        if not self._batches:
            return {}
        sums: dict[str, np.ndarray] = {}
        for batch in self._batches:
            for name, value in self._step(state, batch, (frozen, self._seed)).items():
                sums[name] = sums.get(name, 0.0) + np.asarray(value, np.float64)
            report_progress()
            failpoint("evaluate.midway")
        return self._family.summarise(self._config, self._spec, sums)


def describe_spec(spec: Spec) -> str:
    """One line on the data that a model is trained on."""
    kind = "grey" if spec.channels == 1 else "RGB"
    return (
        f"{spec.resolution}x{spec.resolution} {kind}, {len(spec.classes)} categories, "
        f"{len(spec.attributes)} attributes"
    )
