"""The compile cache is filled with the programs that a run then takes."""

import jax
from jax.experimental.compilation_cache import compilation_cache

from prodgen.planning import cache_filling
from tests.tiny import tiny


def test_the_cache_holds_the_step_and_the_evaluation(tmp_path, capsys):
    config = tiny(data__size=64, parallel__devices=1)
    with config.unlocked():
        config.data.cache_dir = str(tmp_path / "data")
    folder = jax.config.jax_compilation_cache_dir
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "cache"))
        compilation_cache.reset_cache()
        cache_filling.fill_cache(config)
    finally:
        jax.config.update("jax_compilation_cache_dir", folder)
        compilation_cache.reset_cache()
    assert "compiled the step" in capsys.readouterr().out
    entries = [file.name for file in (tmp_path / "cache").iterdir()]
    assert sum(name.startswith("jit_lowered_function") for name in entries) >= 2
    assert {path.name for path in tmp_path.iterdir()} == {"data", "cache"}  # no run
