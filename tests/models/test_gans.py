"""The adversarial networks: their layers, their start, what reaches them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.cli import commandline
from prodgen.core.types import Spec
from prodgen.models import dcgan, r3gan
from tests.tiny import ROOT, spec_of
from tests.tiny_gan import tiny_gan


def shapes(module, *conditions):
    params = jax.eval_shape(lambda: module.init(jax.random.key(0), *conditions))["params"]
    return {
        "/".join(key.key for key in path): leaf.shape
        for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_dcgan_has_the_documented_layers_at_28_pixels(channels):
    config = commandline.read_config(f"{ROOT}/configs/dcgan.py:brief")
    generator, discriminator = dcgan.build(config, Spec(28, channels))
    z, image, nothing = jnp.zeros((2, 100)), jnp.zeros((2, 28, 28, channels)), jnp.zeros((2, 1))
    assert shapes(generator, z, nothing) == {
        "first/kernel": (100, 7 * 7 * 256), "first/bias": (7 * 7 * 256,),
        "up1/kernel": (5, 5, 256, 128), "up1/bias": (128,),
        "up2/kernel": (5, 5, 128, 64), "up2/bias": (64,),
        "head/kernel": (5, 5, 64, channels), "head/bias": (channels,),
    }  # fmt: skip
    assert shapes(discriminator, image, nothing) == {
        "down0/kernel": (5, 5, channels, 32), "down0/bias": (32,),
        "down1/kernel": (5, 5, 32, 64), "down1/bias": (64,),
        "logit/kernel": (7 * 7 * 64, 1), "logit/bias": (1,),
    }  # fmt: skip


def test_the_experiment_is_complete():
    config = commandline.read_config(f"{ROOT}/configs/dcgan.py:brief")
    assert (config.train.num_steps, config.train.batch_size, config.train.sample_every) == (
        10_000, 64, 1000,
    )  # fmt: skip
    assert (config.optim.name, config.optim.lr, config.optim.schedule) == ("adam", 1e-4, "constant")
    assert config.loss.adversarial == "nonsaturating" and config.train.sheet_columns == 5
    assert config.loss.label_smoothing == pytest.approx(0.1)


@pytest.mark.parametrize("resolution", [16, 28, 32, 56, 64, 128])
@pytest.mark.parametrize("module", [dcgan, r3gan])
def test_every_resolution_comes_out_right(module, resolution):
    name = module.__name__.rsplit(".", 1)[1]
    config = tiny_gan(model__name=name, data__resolution=resolution, model__block_side=256)
    spec = spec_of(3, resolution)
    generator, discriminator = module.build(config, spec)
    inputs = jnp.zeros((2, 4)), jnp.zeros((2, 2 + 1 + 2 * spec.num_columns))
    image = jax.eval_shape(lambda: generator.init_with_output(jax.random.key(0), *inputs)[0])
    assert image.shape == (2, *spec.shape)
    logits = jax.eval_shape(
        lambda: discriminator.init_with_output(
            jax.random.key(0), jnp.zeros((2, *spec.shape)), inputs[1]
        )[0]
    )
    assert logits.shape == (2,)


@pytest.mark.parametrize(("group", "power"), [(0, -1 / 2), (4, -1 / 4)])
def test_r3gan_starts_as_its_equations_say(group, power):
    """Gains sqrt(2/1.04) L^power, last convolutions zero, everything else gain 1."""
    config = tiny_gan(model__width=32, model__max_width=32, model__blocks=2, model__group=group,
                      model__block_side=256)  # fmt: skip
    generator, _ = r3gan.build(config, spec_of(3, 16, conditional=False))
    z, nothing = jnp.zeros((1, 4)), jnp.zeros((1, 1))
    params = generator.init(jax.random.key(0), z, nothing)["params"]
    depth = 3 * 2  # stages 4, 8, 16 of two blocks
    deviation = lambda kernel: float(np.std(kernel)) * np.sqrt(np.prod(kernel.shape[:-1]))  # noqa: E731
    gain = np.sqrt(2 / 1.04) * depth**power
    assert deviation(params["block1_0"]["first"]["kernel"]) == pytest.approx(gain, rel=0.1)
    if group:
        assert deviation(params["block1_0"]["middle"]["kernel"]) == pytest.approx(gain, rel=0.1)
        assert params["block1_0"]["middle"]["kernel"].shape == (3, 3, 4, 64)
    assert float(np.abs(params["block1_0"]["last"]["kernel"]).max()) == 0
    assert "bias" not in params["block1_0"]["last"]
    assert deviation(params["head"]["kernel"]) == pytest.approx(1.0, rel=0.25)
    assert float(np.std(params["start"])) == pytest.approx(1.0, rel=0.15)
    assert params["first"]["kernel"].shape == (4, 32) and "bias" not in params["first"]


def test_widths_double_away_from_the_image_up_to_the_limit():
    config = tiny_gan(model__width=8, model__max_width=20, data__resolution=32)
    generator, discriminator = r3gan.build(config, spec_of(3, 32))
    assert generator.widths == discriminator.widths == (20, 20, 16, 8)


def test_examples_never_mix(store):
    """Row by row or all at once: the same logits, which a penalty of sums relies on."""
    from prodgen.core import pixels
    from prodgen.models import conditioning
    from tests.tiny import batch_of

    for fields in ({"model__name": "dcgan"}, {"model__group": 4}):
        config = tiny_gan(**fields)
        module = dcgan if config.model.name == "dcgan" else r3gan
        _, discriminator = module.build(config, store.spec)
        batch = batch_of(store, config)
        image, conditions = pixels.to_float(batch["image"]), conditioning.vector(batch, store.spec)
        params = discriminator.init(jax.random.key(0), image, conditions)
        apply = jax.jit(discriminator.apply)
        image, conditions = np.asarray(image), np.asarray(conditions)
        whole = np.asarray(apply(params, image, conditions))
        alone = [apply(params, image[i : i + 1], conditions[i : i + 1])[0] for i in (0, 9)]
        np.testing.assert_allclose(whole[[0, 9]], np.array(alone), rtol=1e-4, atol=1e-6)


def test_an_unconditional_network_has_no_condition_weights():
    for module in (dcgan, r3gan):
        name = module.__name__.rsplit(".", 1)[1]
        config = tiny_gan(model__name=name, model__condition=False)
        networks = module.build(config, spec_of())
        for net, first in zip(
            networks, (jnp.zeros((1, 4)), jnp.zeros((1, 16, 16, 3))), strict=True
        ):
            names = shapes(net, first, jnp.zeros((1, 1)))
            assert not any("embedding" in name or "film" in name for name in names)
