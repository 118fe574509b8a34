"""Every platform's operations compute the same function, to the second derivative, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.models import dcgan, patch, r3gan, vae
from prodgen.parallel import lowering
from tests.tiny import mesh_of, tiny

F64 = jnp.float64
WIDTHS, BLOCKS = (8, 4), (3, 1)
NETWORKS = {  # network, shapes of its inputs
    "strided": (dcgan.Discriminator((4, 6), True, F64), [(2, 8, 8, 3), (2, 5)]),
    "transposed": (dcgan.Generator((6, 20, 4), 2, 3, True, F64), [(2, 4), (2, 5)]),
    "squares": (patch.Discriminator((4, 6), True, F64), [(2, 8, 8, 3), (2, 5)]),
    "groups and loops": (
        r3gan.Discriminator(WIDTHS, BLOCKS, False, 4, True, False, F64), [(2, 8, 8, 3), (2, 5)],
    ),
    "dense, half, loops with conditions": (
        r3gan.Generator(WIDTHS, BLOCKS, 4, 3, True, 0, True, False, F64), [(2, 4), (2, 5)],
    ),
    "a VAE's decoder": (
        vae.Decoder(WIDTHS[::-1], BLOCKS[::-1], 4, 3, False, F64), [(2, 4), (2, 5)],
    ),
}  # fmt: skip


def random_like(shape, seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def derivatives(network, params, *inputs):
    """The output, the gradients of a weighted sum of it, and those of a gradient penalty.

    The penalty is |d(weighted sum)/d(first input)|^2, which differentiates every layer twice.
    """

    def weighted_sum(params, x, *others):
        y = network.apply({"params": params}, x, *others)
        return jnp.sum(y * random_like(y.shape, 9) + 0.1 * y**2), y

    def penalty(params, x, *others):
        grad = jax.grad(weighted_sum, argnums=1, has_aux=True)(params, x, *others)[0]
        return jnp.sum(grad**2)

    gradients, output = jax.grad(weighted_sum, (0, 1), has_aux=True)(params, *inputs)
    return output, gradients, jax.grad(penalty, (0, 1))(params, *inputs)


@functools.cache
def network_and_values(name):
    """The network, its weights (none of them zero) and inputs."""
    network, shapes = NETWORKS[name]
    inputs = [random_like(shape, seed) for seed, shape in enumerate(shapes)]
    shapes_of_params = jax.eval_shape(network.init, jax.random.key(0), *inputs)["params"]
    leaves, structure = jax.tree.flatten(shapes_of_params)
    values = [0.4 * random_like(leaf.shape, seed) for seed, leaf in enumerate(leaves)]
    return network, jax.tree.unflatten(structure, values), inputs


@functools.cache
def derivatives_for(name, platform, remat=False):
    network, params, inputs = network_and_values(name)
    network = network.clone(remat=True) if remat else network
    with lowering.use_lowering(lowering.select_lowering(platform, 1)):
        options = {"xla_backend_optimization_level": 0}
        program = jax.jit(functools.partial(derivatives, network), compiler_options=options)
        return program(params, *inputs)


def assert_equal(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * float(jnp.abs(b).max()) + 1e-300)


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_values_and_derivatives_are_those_of_the_cpu(float64, name, platform):
    expected = derivatives_for(name, "cpu")
    assert any(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(expected[2]))
    assert_equal(derivatives_for(name, platform), expected)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_rematerialisation_changes_no_derivative(float64, platform):
    name = "groups and loops"
    assert_equal(derivatives_for(name, platform, remat=True), derivatives_for(name, "cpu"))


def test_loops_and_rematerialisation_keep_the_tree_of_weights(float64):
    """A checkpoint of one platform is one of every other."""
    network, _, inputs = network_and_values("groups and loops")
    trees = []
    for platform, remat in (("cpu", False), ("gpu", False), ("tpu", True)):
        with lowering.use_lowering(lowering.select_lowering(platform, 1)):
            init = network.clone(remat=remat).init
            trees.append(jax.eval_shape(init, jax.random.key(0), *inputs))
    assert trees[0] == trees[1] == trees[2]


def test_the_lowering_is_that_of_the_mesh():
    """Not of the process's own backend: the mesh may be of devices that are absent."""

    class Device:
        platform = "tpu"

    class AbsentMesh:
        devices, size = np.array([Device(), Device()]), 2

    absent = lowering.lower_for(AbsentMesh, lowering.current_lowering)()
    assert absent == lowering.LOWERINGS["tpu"] != lowering.current_lowering()
    here = lowering.lower_for(mesh_of(tiny(), 8), lowering.current_lowering)()
    assert here == lowering.select_lowering("cpu", 8) == lowering.current_lowering()
    assert lowering.select_lowering("cpu", 1).splits_kernel_gradients
    assert not here.splits_kernel_gradients
