"""The run that most tests of modes share: trained, and its programs compiled, once a worker."""

import pytest

from tests.tiny import vae_run


@pytest.fixture(scope="session")
def azimuth_run(azimuth_store, tmp_path_factory):
    """The folder of a VAE of 120 steps on the squares with a camera's azimuth and elevation."""
    return vae_run(tmp_path_factory.mktemp("runs") / "run", azimuth_store, 120)
