"""train.microbatches: a batch computed in parts has the gradient of the whole batch."""

import dataclasses
import functools
import itertools
import re
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.core.errors import UsageError
from prodgen.parallel import compilation, device_mesh, lowering
from prodgen.runs.run import get_step_module
from prodgen.steps.accumulation import accumulate, map_parts
from tests.tiny import close, mesh_of, tiny
from tests.tiny_gan import batches_of, init_reference_classifier, start


def loops(has_loop: bool):
    """A context in which the CPU's programs have loops, or are unrolled."""
    lowering_of_cpu = dataclasses.replace(lowering.LOWERINGS["cpu"], has_control_flow=has_loop)
    return mock.patch.dict(lowering.LOWERINGS, {"cpu": lowering_of_cpu})


def network(params, image):
    """Two layers; image [B, H, W, C] -> [B, 3]."""
    x = jax.lax.conv_general_dilated(
        image, params[0], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.tanh(x).mean((1, 2)) @ params[1]


def penalised_loss(params, image):
    """A mean over examples of the output and of its gradient with respect to the image."""
    gradient = jax.grad(lambda image: jnp.sum(network(params, image)))(image)
    return jnp.mean(network(params, image) ** 2) + jnp.mean(jnp.sum(gradient**2, (1, 2, 3)))


def loss_of_the_batch(params, image, num_parts):
    """The logarithm of a mean: no mean over examples itself."""
    output = map_parts(functools.partial(network, params), num_parts, image)
    return jnp.log(jnp.mean(output**2)) + jnp.max(output)


@pytest.mark.parametrize("has_loop", [True, False])
def test_parts_have_the_gradient_of_the_whole_batch_in_float64(has_loop):
    """A mean of second order by `accumulate`, a function of the whole batch by `map_parts`."""

    @functools.partial(jax.jit, static_argnums=2)
    def compute_gradients(params, image, num_parts):
        compute_part = functools.partial(jax.grad(penalised_loss), params)
        gradient = accumulate(compute_part, image, num_parts)
        return gradient, jax.grad(loss_of_the_batch)(params, image, num_parts)

    with jax.enable_x64(True), loops(has_loop):
        draw = np.random.default_rng(0).normal
        params, image = [draw(size=(3, 3, 2, 4)), draw(size=(4, 3))], draw(size=(12, 5, 5, 2))
        gradients = compute_gradients(params, image, 1)
        close(gradients, compute_gradients(params, image, 3), 1e-10)
        # Rows come back in their order.
        np.testing.assert_array_equal(map_parts(jnp.negative, 4, image), -image)


CASES = {
    "vae, sigma and free bits": {"loss__free_bits": 0.2},
    "vae, mse": {"loss__likelihood": "mse"},
    "r3gan, R1 and R2, adaptive": {
        "model__name": "r3gan", "augment__policy": "product", "augment__adaptive": True,
        "augment__p": 0.5, "augment__ada_images": 1000,
    },
    "dcgan, spectral norm, two updates of D": {
        "model__name": "dcgan", "model__spectral_norm": True, "loss__adversarial": "hinge",
        "loss__penalty": "gradient", "train__d_steps": 2,
    },
    "vaegan, spectral norm": {
        "model__name": "vaegan", "model__spectral_norm": True, "loss__gan_start": 0,
        "loss__gan_ramp": 1, "augment__policy": "diffaugment", "augment__p": 0.5,
    },
}  # fmt: skip


@functools.cache
def run_step(
    store, case: str, num_parts: int, mode: str = "jit", devices: int = 1, has_loop: bool = True
):
    """((optimisers' states, vectors, extras, metrics), program) after one step of a case.

    The learning rate is 0, so that Adam's moments are functions of the gradients of equal weights.
    """
    config = tiny(
        **{
            "optim__name": "adam", "optim__lr": 0.0, "optim__clip": 0.0, "model__block_side": 4,
            "optim__ema_images": 0, "train__microbatches": num_parts, "parallel__mode": mode,
        } | CASES[case]
    )  # fmt: skip
    family, mesh = get_step_module(config), mesh_of(config, devices)
    sharding = device_mesh.replicated_sharding(mesh)
    state, frozen = jax.device_put(
        (start(config, store.spec), init_reference_classifier(store.spec)), sharding
    )
    variant = family.variants(config)[0]
    step = compilation.compile_train_step(
        lambda pmean: family.make_train_step(config, store.spec, pmean, variant), mesh, mode
    )
    batches = tuple(device_mesh.to_global_arrays(mesh, b) for b in batches_of(store, config))
    with loops(has_loop):
        program = compilation.compile_aot(step, state, batches, frozen)
    state, metrics = jax.device_get(program(state, batches, frozen))
    nets = {name: (net.opt, net.vars) for name, net in state.nets.items()}
    return (nets, state.extras, metrics), program


DAILY_PAIRS = (("jit", "vae, sigma and free bits"),)


@pytest.mark.slow
@pytest.mark.parametrize("num_parts", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_a_step_in_parts_is_the_step_of_the_whole_batch(store, case, num_parts):
    expected, _ = run_step(store, case, 1)
    close(expected, run_step(store, case, num_parts)[0], 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_parts_without_a_loop_are_the_whole_batch(store, case):
    """The program of a CPU."""
    expected, _ = run_step(store, case, 1)
    close(expected, run_step(store, case, 2, has_loop=False)[0], 1e-5)


@pytest.mark.parametrize(
    ("mode", "case"),
    [
        pytest.param(*pair, marks=() if pair in DAILY_PAIRS else pytest.mark.slow)
        for pair in itertools.product(("jit", "pmap"), CASES)
    ],
)
def test_parts_are_equal_on_eight_devices_and_no_row_moves(store, mode, case):
    expected, _ = run_step(store, case, 1)
    outputs, program = run_step(store, case, 2, mode, 8)
    close(expected, outputs, 2e-5)
    # Devices exchange sums alone.
    text = program.as_text()
    assert not re.findall(r" (?:all-gather|all-to-all|collective-permute)(?:-start)?\(", text)
    assert " all-reduce" in text


def test_a_batch_that_parts_do_not_divide_is_refused():
    with pytest.raises(UsageError, match="batch_size=16 .*microbatches=3") as error:
        tiny(train__microbatches=3)
    assert "batch_size=15; or set config.train.batch_size=18" in error.value.next_step
    config = tiny(train__microbatches=4)
    with pytest.raises(UsageError, match="8 devices times config.train.microbatches=4") as error:
        mesh_of(config, 8)
    assert "batch_size=32; or set config.train.batch_size=64" in error.value.next_step
