"""The fitness of a run in its folder: measured once for each checkpoint, and read by the modes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prodgen.core.errors import ProdgenError
from prodgen.core.files import write_atomically
from prodgen.data.conditions import Conditions
from prodgen.data.store import Store
from prodgen.evaluation import classifier, fitness, fitness_evidence
from prodgen.evaluation.classifier import ReferenceClassifier
from prodgen.evaluation.fitness import Fitness
from prodgen.runs.run import Run, open_run
from prodgen.runs.workdir import FITNESS_FILE

MEASUREMENT_VERSION = 1  # of the evidence: with another one, all is measured again


def load(run: Run) -> Fitness | None:
    """The fitness in the folder of a run; None where there is none of this checkpoint."""
    try:
        content = json.loads((run.path / FITNESS_FILE).read_text(encoding="utf-8"))
        if {name: content[name] for name in _key(run)} == _key(run):
            return fitness.from_json(content)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _key(run: Run) -> dict[str, Any]:
    """What the fitness in a file must be of."""
    key = {"version": MEASUREMENT_VERSION, "step": run.step}
    return key | {"fingerprint": run.record["fingerprint"]}


def measure_and_save(
    run: Run, store: Store, conditions: Conditions, reference: ReferenceClassifier | None
) -> Fitness:
    """The fitness of a run, kept in its folder; a folder that cannot be written is no error."""
    result = fitness.judge(fitness_evidence.measure(run, store, conditions, reference))
    content = _key(run) | fitness.to_json(result)
    with contextlib.suppress(OSError):
        write_atomically(run.path / FITNESS_FILE, json.dumps(content, indent=1).encode())
    return result


def load_or_measure(
    run: Run,
    conditions: Conditions,
    open_store: Callable[[], Store],
    open_reference: Callable[[], ReferenceClassifier],
    say: classifier.Say,
) -> Fitness:
    """The fitness of a run, measured where its folder has none of this checkpoint.

    A measurement without a reference classifier is made again with one. Errors of `open_store`.
    """
    result = load(run)
    if result is not None and result.evidence.has_classifier:
        return result
    store = open_store()
    say("measuring what the run is fit for; it is kept for later commands")
    return measure_and_save(run, store, conditions, open_reference())


def measure_at_end(path: Path, store: Store, conditions: Conditions) -> Iterator[str]:
    """Measure the run that training has just finished, by its best checkpoint; the lines to print.

    No classifier is trained for it: without one, the first mode measures the rest.
    """
    try:
        run = open_run(path)
        reference = classifier.load_if_present(path, store)
        result = load(run)
        if result is None or (reference and not result.evidence.has_classifier):
            result = measure_and_save(run, store, conditions, reference)
    except ProdgenError as error:
        yield f"fitness  not measured: {error.message}"
        return
    for line in fitness.describe(result):
        yield f"fitness  {line}"
