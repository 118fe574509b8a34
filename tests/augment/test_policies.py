"""When a policy is applied, what it may change, and what it must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from prodgen.augment import policies
from prodgen.core.errors import UsageError

WHITE = np.ones(3, np.float32)
BLUE = np.float32([-0.31, 0.17, 0.83])
DIFF, PRODUCT = policies.DiffAugment(True), policies.Product(True)
BOTH = pytest.mark.parametrize("policy", [DIFF, PRODUCT], ids=["diffaugment", "product"])
# The place among the uniform numbers of the one that makes each transform fire.
FIRES = {
    "diffaugment": {"mirror": 0, "shift": 1, "cutout": 4, "bright": 7, "saturate": 9,
                    "contrast": 11},
    "product": {"mirror": 0, "jump": 1, "slide": 4, "zoom": 7, "turn": 9, "cutout": 11,
                "bright": 14},
}  # fmt: skip
COLOURS = {"bright", "saturate", "contrast"}


# A policy compiles anew for every shape: tests share theirs where they can.
def random_images(size, side=16, channels=3):
    rng = np.random.default_rng(2)
    return jnp.asarray(rng.uniform(-1, 1, (size, side, side, channels)), jnp.float32)


def sample_uniforms(policy, size, seed=3):
    return jax.random.uniform(jax.random.key(seed), (size, policy.num_uniforms))


def apply(policy, *inputs):
    return jax.jit(policy)(*inputs)


def uniforms_for(policy, column, size):
    """Uniform numbers with which one transform alone fires, at p = 0.5."""
    result = sample_uniforms(policy, size)
    rest = list(FIRES["diffaugment" if policy is DIFF else "product"].values())
    return result.at[:, jnp.asarray(rest)].set(0.99).at[:, column].set(0.0)


def differs(a, b):
    """Which images differ, bool [B]."""
    return np.any(np.asarray(a) != np.asarray(b), axis=(1, 2, 3))


def test_the_policy_none_is_the_identity():
    policy = policies.make("none", True)
    image = random_images(2)
    assert policy.num_uniforms == 0
    assert policy(image, jnp.zeros((2, 0)), 1.0, WHITE) is image


def test_a_wrong_name_lists_the_known_ones():
    with pytest.raises(UsageError, match="did you mean product.*diffaugment, none, product"):
        policies.make("produkt", False)


@BOTH
def test_too_few_uniforms_are_an_error(policy):
    with pytest.raises(ValueError, match="takes"):
        policy(random_images(2), jnp.zeros((2, policy.num_uniforms - 1)), 1.0, WHITE)


@BOTH
@pytest.mark.parametrize("channels", [1, 3])
def test_p_of_zero_is_the_identity_to_the_bit(policy, channels):
    image, background = random_images(64, channels=channels), BLUE[:channels]
    result = apply(policy, image, sample_uniforms(policy, 64), 0.0, background)
    assert result.tobytes() == image.tobytes()


@BOTH
@pytest.mark.parametrize("channels", [1, 3])
def test_p_of_one_changes_every_image(policy, channels):
    image, background = random_images(64, channels=channels), BLUE[:channels]
    result = apply(policy, image, sample_uniforms(policy, 64), 1.0, background)
    assert result.shape == image.shape and result.dtype == image.dtype
    assert np.isfinite(result).all() and differs(result, image).all()


@pytest.mark.parametrize(
    ("policy", "name"),
    [(DIFF, n) for n in FIRES["diffaugment"]] + [(PRODUCT, n) for n in FIRES["product"]],
)
def test_each_transform_is_applied_alone_and_only_colours_change_the_background(policy, name):
    column = FIRES["diffaugment" if policy is DIFF else "product"][name]
    uniforms = uniforms_for(policy, column, 32)
    image, plain = random_images(32), jnp.broadcast_to(BLUE, (32, 16, 16, 3))
    result = apply(policy, image, uniforms, 0.5, BLUE)
    assert differs(result, image).mean() > 0.8  # a shift by 0 is among the shifts
    background_result = apply(policy, plain, uniforms, 0.5, BLUE)
    if name in COLOURS - {"contrast"}:
        assert differs(background_result, plain).all()
    elif name not in COLOURS:
        np.testing.assert_array_equal(background_result, plain)


@BOTH
def test_a_transform_is_applied_with_probability_p(policy):
    """Of a plain grey image only brightness changes anything."""
    plain = jnp.full((2000, 4, 4, 3), 0.25)
    uniforms = sample_uniforms(policy, 2000)
    for p in (0.2, 0.7):
        result = apply(policy, plain, uniforms, p, 0.25 * WHITE)
        assert np.mean(np.abs(result - plain).max((1, 2, 3)) > 1e-6) == pytest.approx(p, abs=0.04)


@BOTH
def test_an_image_depends_on_its_own_uniforms_alone(policy):
    image, uniforms = random_images(32), sample_uniforms(policy, 32)
    whole = apply(policy, image, uniforms, 0.7, BLUE)
    for i in (0, 5):
        alone = apply(policy, image[i : i + 1], uniforms[i : i + 1], 0.7, BLUE)
        np.testing.assert_allclose(alone[0], whole[i], atol=1e-6)


@pytest.mark.parametrize("name", ["diffaugment", "product"])
def test_an_image_is_mirrored_only_where_allowed(name):
    with_flip, without = policies.make(name, True), policies.make(name, False)
    image = random_images(32)
    uniforms = uniforms_for(DIFF if name == "diffaugment" else PRODUCT, 0, 32)
    np.testing.assert_allclose(
        apply(with_flip, image, uniforms, 0.5, BLUE), image[:, :, ::-1], atol=1e-6
    )
    assert apply(without, image, uniforms, 0.5, BLUE).tobytes() == image.tobytes()
    many_uniforms, small = sample_uniforms(with_flip, 2000), random_images(2000, 4)
    differ = differs(
        apply(with_flip, small, many_uniforms, 1.0, BLUE),
        apply(without, small, many_uniforms, 1.0, BLUE),
    )
    assert differ.mean() == pytest.approx(0.5, abs=0.05)


def test_diffaugment_shifts_by_up_to_an_eighth_and_fills_with_the_background():
    image = random_images(200)
    result = np.asarray(apply(DIFF, image, uniforms_for(DIFF, 1, 200), 0.5, BLUE))
    shifts = set()
    for before, after in zip(np.asarray(image), result, strict=True):
        for down in range(-2, 3):
            for right in range(-2, 3):
                wide = np.broadcast_to(BLUE, (20, 20, 3)).copy()
                wide[2 + down : 18 + down, 2 + right : 18 + right] = before
                if np.allclose(after, wide[2:18, 2:18], atol=1e-6):
                    shifts.add((down, right))
    assert len(shifts) == 25


def test_diffaugments_colours_equal_hand_computed_values():
    image = random_images(32)
    u = uniforms_for(DIFF, 7, 32)
    brighter = apply(DIFF, image, u, 0.5, BLUE)
    np.testing.assert_allclose(
        brighter - image, jnp.broadcast_to(u[:, 8, None, None, None] - 0.5, image.shape), atol=1e-6
    )
    u = uniforms_for(DIFF, 9, 32).at[:, 10].set(0.0)
    grey = apply(DIFF, image, u, 0.5, BLUE)
    np.testing.assert_allclose(grey, image.mean(3, keepdims=True).repeat(3, 3), atol=1e-6)
    u = uniforms_for(DIFF, 11, 32).at[:, 12].set(0.0)
    np.testing.assert_allclose(
        apply(DIFF, image, u, 0.5, BLUE),
        (image + image.mean((1, 2, 3), keepdims=True)) / 2,
        atol=1e-6,
    )


def test_product_keeps_every_hue():
    """A blob of one colour on black: differences between channels keep their ratios."""
    shape, colour = np.zeros((64, 16, 16, 1), np.float32), np.float32([1.5, 0.7, 0.3])
    shape[:, 3:12, 5:11] = 1
    image = jnp.asarray(shape * colour - 1)
    result = np.asarray(apply(PRODUCT, image, sample_uniforms(PRODUCT, 64), 1.0, -WHITE))
    assert differs(result, image).all()
    r, g, b = (result[..., c] for c in range(3))
    np.testing.assert_allclose((r - g) * 1.2, (r - b) * 0.8, atol=1e-5)
    lowest = result.min(axis=(1, 2, 3))
    assert np.all(np.abs(lowest + 1) <= 0.0501)
    grey = np.asarray(
        apply(PRODUCT, jnp.asarray(shape * WHITE - 1), sample_uniforms(PRODUCT, 64), 1.0, -WHITE)
    )
    np.testing.assert_allclose(grey, grey[..., :1].repeat(3, 3), atol=1e-6)


def test_product_erases_with_half_the_probability():
    """A square in the middle, where the box covers it whole: gone below p / 2, there above."""
    image = jnp.zeros((1, 16, 16, 1)).at[:, 4:12, 4:12].set(1.0)
    uniforms = uniforms_for(PRODUCT, 11, 1).at[:, 12:14].set(0.5)
    for number, is_erased in ((0.2, True), (0.3, False)):
        result = apply(PRODUCT, image, uniforms.at[:, 11].set(number), 0.5, np.zeros(1, np.float32))
        assert (float(result.sum()) == 0) == is_erased


@BOTH
def test_first_and_second_derivatives(policy):
    with jax.enable_x64(True):
        image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 6, 3)))
        uniforms = jnp.asarray(np.random.default_rng(1).random((2, policy.num_uniforms)))
        value = jax.jit(lambda x: jnp.sum(jnp.sin(policy(x, uniforms, 0.9, BLUE))))
        check_grads(value, (image,), order=2, modes=["rev"])


@BOTH
def test_gradients_neither_gather_nor_scatter(policy):
    def penalty(image, uniforms, p):
        slope = jax.grad(lambda x: jnp.sum(jnp.sin(policy(x, uniforms, p, BLUE))))(image)
        return jnp.sum(jnp.square(slope))

    jaxpr = str(
        jax.make_jaxpr(jax.grad(penalty))(random_images(4), sample_uniforms(policy, 4), 0.5)
    )
    assert "gather" not in jaxpr and "scatter" not in jaxpr and "conv_" not in jaxpr
