"""Settings of every test process: quick, kept programs on eight virtual devices; shared stores."""

import gc
import os
from pathlib import Path

from tests.compilation import EIGHT_DEVICES, QUICK_XLA_FLAGS, cache_environment

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("XLA_FLAGS", f"{EIGHT_DEVICES} {QUICK_XLA_FLAGS}")
os.environ.update(cache_environment())
# The arrays are small: a second thread of the BLAS library only waits.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

from prodgen.data import prepare
from prodgen.evaluation import classifier
from tests.tiny import AzimuthSquares, Squares, tiny

CLASSIFIER_BATCH = 32  # images: the reference classifier learns the squares in half the time
GC_THRESHOLDS = (50_000, 20, 50)  # allocations before a collection of generations 0, 1 and 2
LONGEST = (
    "test_resume.py", "test_parity.py", "test_gan.py", "test_evaluate.py", "test_batch.py",
    "test_using.py", "test_configs.py",
)  # fmt: skip


# Files that share a trained run or compiled steps: one worker takes them all. Other files go alone.
WORKER_GROUPS = {
    "apps/test_batch.py": "run", "apps/test_edit.py": "run", "apps/test_modes.py": "run",
    "apps/test_fit_prior.py": "run", "apps/test_fitness_check.py": "run",
    "apps/test_names.py": "run", "apps/test_using.py": "run",
    "steps/test_gan.py": "steps", "steps/test_vaegan.py": "steps",
    "evaluation/test_monitor.py": "steps",
    "test_advice.py": "source", "test_architecture.py": "source",
    "metrics/test_memorisation.py": "catalogue", "metrics/test_screen.py": "catalogue",
    "data/test_catalogue.py": "catalogue",
}  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this hook, too
def pytest_collection_modifyitems(items):
    """The longest files first, so that several workers (-n 2) end together; files by group."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    for item in items:
        file = item.path.relative_to(Path(__file__).parent).as_posix()
        item.add_marker(pytest.mark.xdist_group(WORKER_GROUPS.get(file, file)))


def pytest_collection_finish(session):
    """The groups are in effect. Garbage collection need not visit the imported modules again."""
    if session.config.getoption("loadgroup", False):
        assert all("@" in item.nodeid for item in session.items), "xdist ignores xdist_group"
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


@pytest.fixture(scope="session", autouse=True)
def quick_classifier():
    """Reference classifiers are trained on smaller batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "BATCH_SIZE", CLASSIFIER_BATCH)
        yield


def prepare_source(source, tmp_path_factory):
    """A source's store at 16 px, in a cache of its own."""
    data = tiny().data
    with data.unlocked():
        data.cache_dir = str(tmp_path_factory.mktemp("cache"))
    return prepare.open_or_prepare(data, source=source)


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The squares, prepared at 16 px."""
    return prepare_source(Squares(), tmp_path_factory)


@pytest.fixture(scope="session")
def grey_store(tmp_path_factory):
    return prepare_source(Squares(channels=1), tmp_path_factory)


@pytest.fixture(scope="session")
def azimuth_store(tmp_path_factory):
    """The squares with a camera's azimuth and elevation."""
    return prepare_source(AzimuthSquares(), tmp_path_factory)
