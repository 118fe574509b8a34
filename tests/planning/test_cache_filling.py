"""--compile_only compiles what a run needs, and begins no run."""

import jax

from prodgen.parallel import compilation
from prodgen.planning import cache_filling
from tests.tiny import tiny


def test_the_step_and_the_evaluation_are_compiled_and_not_run(tmp_path, capsys, monkeypatch):
    config = tiny(data__size=64, parallel__devices=1)
    with config.unlocked():
        config.data.cache_dir = str(tmp_path / "data")
    programs, compile_aot = [], compilation.compile_aot

    def record_program(step, *arguments):
        program = compile_aot(step, *arguments)
        programs.append((program, arguments))
        return program

    monkeypatch.setattr(compilation, "compile_aot", record_program)
    cache_filling.fill_cache(config)
    (step, (state, batches, _)), (evaluation, (_, batch, _)) = programs
    assert "dot(" in step.as_text() and "dot(" in evaluation.as_text()
    assert batches[0]["image"].shape == batch["image"].shape == (16, 16, 16, 3)
    # The state would have been given to the step, had it run.
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert jax.config.jax_compilation_cache_dir in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["data"]  # no run
