"""A plan says what its programs hold; a batch that does not fit is answered with one that does."""

import dataclasses
import json

import pytest

from prodgen.cli import commandline
from prodgen.core.errors import UsageError
from prodgen.core.trees import count_bytes
from prodgen.data.catalogue import SCHEMA
from prodgen.parallel import absent_devices
from prodgen.parallel.program_counts import ProgramCounts
from prodgen.parallel.targets import parse_targets
from prodgen.planning import compile_plan, program_inputs
from prodgen.planning.compiled_program import CompiledProgram, DeviceMemoryError
from prodgen.planning.plan_table import format_plan
from prodgen.runs import workdir
from prodgen.runs.run import get_step_module
from tests import programs
from tests.tiny import mesh_of, tiny, vae_run
from tests.tiny_gan import tiny_gan

CONFIG = tiny_gan(loss__penalty="none")
TARGETS = ("h200", "v5e:2x2")


def find_targets():
    """The targets whose plug-in is installed."""
    installed_targets = []
    for target in parse_targets(",".join(TARGETS)):
        try:
            absent_devices.check_plugin(target)
            installed_targets.append(target)
        except UsageError as error:
            print(error.message)
    return installed_targets


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """The plan of a tiny GAN for one GPU and four chips of a TPU."""
    targets = find_targets()
    if len(targets) < len(TARGETS):
        pytest.skip("the plug-ins jax[cuda] and libtpu are not both installed")
    return compile_plan.make_plan(CONFIG, targets, tmp_path_factory.mktemp("run"), print)


def test_a_plan_needs_no_data_and_counts_what_is_compiled(plan):
    state = programs.initial_shapes(CONFIG, plan.spec)
    assert plan.spec.attributes == SCHEMA
    assert plan.weight_bytes == sum(count_bytes(net.params) for net in state.nets.values())
    for target in plan.targets:
        step, evaluation = target.programs
        assert (step.name, evaluation.name) == ("plain", "evaluation")
        assert target.is_fitting
        for counts in (step.counts, evaluation.counts):
            assert 0 < counts.convolution_kinds <= counts.convolutions
        # Gradients take more products than the evaluation has.
        assert step.counts.matrix_products > evaluation.counts.matrix_products > 0
        # The state is an argument, and the new one takes its place.
        assert step.argument_bytes >= 0.9 * count_bytes(state)
        assert step.donated_bytes >= 0.9 * count_bytes(state)


def test_four_devices_send_each_gradient_once(plan):
    gpu, tpu = (target.programs[0].counts for target in plan.targets)
    assert gpu.collectives == gpu.collective_bytes == 0
    assert tpu.collectives >= 1
    # The gradients, and a few scalars of the loss.
    assert plan.weight_bytes <= tpu.collective_bytes <= plan.weight_bytes + 100
    assert tpu.ring_bytes == 2 * tpu.collective_bytes


def test_a_plan_is_written_and_printed(plan, tmp_path):
    compile_plan.write_plan(plan, tmp_path)
    content = json.loads((tmp_path / "plan.json").read_text())
    assert list(content["targets"]) == list(TARGETS)
    for target in content["targets"].values():
        assert target["fits"] and target["forecast"]["bound_seconds"] > 0
        assert {
            "name", "compile_seconds", "compile_cpu_seconds", "convolutions", "convolution_kinds",
            "transposes", "copies", "collectives", "collective_bytes", "temporary_bytes",
            "argument_bytes", "trace_seconds", "matrix_products",
        } <= set(target["programs"][0])  # fmt: skip
    table = "\n".join(format_plan(plan))
    assert all(name in table for name in (*TARGETS, "program evaluation", "images/s at the bound"))
    # A run may start in this folder.
    with workdir.lock_workdir(tmp_path):
        workdir.check_config(tmp_path, CONFIG)


def test_the_plan_of_a_run_takes_its_data_and_changes_nothing_else(plan, store, tmp_path):
    path = vae_run(tmp_path / "run", store, 1)
    files = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    assert program_inputs.find_spec(CONFIG, path) == (store.spec, "the data of the run")
    compile_plan.write_plan(plan, path)
    (path / "plan.json").unlink()
    assert files == {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_the_shapes_are_those_of_a_batch_of_the_store(store):
    rows = store.fetch(store.ids("train")[:8])
    batch = program_inputs.build_batch(store.spec, 8)
    assert set(batch) == {*rows, "slot"}
    assert all(batch[name].shape == rows[name].shape for name in rows)
    assert all(batch[name].dtype == rows[name].dtype for name in rows)


def test_data_that_nobody_has_prepared_are_assumed(tmp_path):
    config = tiny(data__source="folder", data__path=str(tmp_path / "absent"))
    spec, origin = program_inputs.find_spec(config, tmp_path)
    assert spec.shape == (16, 16, 3) and len(spec.classes) == 16
    assert origin.startswith("assumed")


NO_COUNTS = ProgramCounts(**{field.name: 0 for field in dataclasses.fields(ProgramCounts)})


def replace_compiler(monkeypatch, image_bytes, max_batch):
    """Programs take `image_bytes` an image; above `max_batch` the compiler gives up.

    Returns the list of the batches that are compiled.
    """
    batches = []

    def compile_programs(family, config, spec, target, mesh, say):
        size = config.train.batch_size
        batches.append(size)
        if size > max_batch:
            raise DeviceMemoryError("Used 20G of 16G hbm")
        names = [*dict.fromkeys(family.variants(config)), "evaluation"]
        return [
            CompiledProgram(name, 1, 1, 1, NO_COUNTS, 0, 0, 0, image_bytes * size, 0)
            for name in names
        ]

    monkeypatch.setattr(compile_plan, "compile_programs", compile_programs)
    return batches


@pytest.mark.parametrize(
    ("image_bytes", "max_batch", "fitting_batch", "trials"),
    [
        (10**9, 64, 64, [64]),
        (3 * 10**9, 64, 32, [64, 32]),  # of the 113 GB that JAX reserves on an H200
        (14 * 10**9, 64, 8, [64, 8]),  # 32 and 16 are far too large to be tried
        (10**9, 16, 16, [64, 32, 16]),
        (10**12, 64, 0, [64]),
    ],
)
def test_a_batch_that_does_not_fit_is_halved(
    image_bytes, max_batch, fitting_batch, trials, monkeypatch
):
    batches = replace_compiler(monkeypatch, image_bytes, max_batch)
    config = tiny(train__batch_size=64)
    (target,) = parse_targets("h200")
    family, spec = get_step_module(config), program_inputs.make_catalogue_spec(16, 3)
    mesh = mesh_of(config, 1)
    target_plan = compile_plan.plan_target(family, config, spec, target, mesh, 1e9, print)
    assert (target_plan.fitting_batch, batches) == (fitting_batch, trials)
    assert target_plan.is_fitting == (fitting_batch == 64)
    plan = compile_plan.Plan(config, spec, "", {"vae": 1}, 4, 1e9, [target_plan])
    assert any("the batch fits" in line for line in format_plan(plan))
    if target_plan.is_fitting:
        return compile_plan.check_fit(plan)
    with pytest.raises(UsageError) as error_info:
        compile_plan.check_fit(plan)
    advice = f"config.train.batch_size={fitting_batch}" if fitting_batch else "more devices"
    assert error_info.value.code == 2 and advice in error_info.value.next_step


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--plan=h300"], "h300 is not a known target"),
        (["--plan=v5e:4"], "is not a slice"),
        (["--plan=v5e:4x8", "--config.train.batch_size=48"], "by the 32 devices of v5e:4x8"),
        (["--plan=h200", "--config.parallel.mode=pmap"], "under jit"),
        (["--plan=h200:2", "--config.parallel.devices=4"], "h200:2 has 2"),
        (["--plan=v5e", "--config.parallel.require_platform=gpu"], "v5e is a tpu"),
        (["--plan=h200", "--compile_only"], "(look, plan, compile_only)"),
    ],
)
def test_a_plan_that_cannot_be_made_ends_in_one_line(arguments, reason, tmp_path, capsys):
    import run_train

    command = ["run_train.py", "--config=configs/vae.py", f"--workdir={tmp_path / 'run'}"]
    assert commandline.run(run_train.main, [*command, *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and reason in lines[0]
    assert not (tmp_path / "run").exists()
