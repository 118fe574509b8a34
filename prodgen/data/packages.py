"""TensorFlow and TensorFlow Datasets, which only one feed and one source need."""

from __future__ import annotations

import importlib.util
import sys

from prodgen.core.errors import UsageError

# There is no tensorflow-cpu for macOS.
TENSORFLOW = "tensorflow" if sys.platform == "darwin" else "tensorflow-cpu"
INSTALL = f"pip install {TENSORFLOW} tensorflow-datasets importlib_resources"


def check_tensorflow(reason: str) -> None:
    """Raise UsageError where TensorFlow is not installed; `reason` begins the message."""
    if importlib.util.find_spec("tensorflow") is None:
        raise UsageError(
            f"{reason}, which is not installed", f"{INSTALL}; or set config.data.feed=resident"
        )
