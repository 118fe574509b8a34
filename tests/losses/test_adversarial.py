"""Adversarial losses by hand-computed values, and their gradients in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.config import registry
from prodgen.losses import adversarial
from prodgen.steps.discriminator import adversarial_loss
from tests.tiny_gan import tiny_gan

REAL, FAKE = (2.0, -1.0), (0.5, 3.0)
# name -> (discriminator's, generator's) loss of the pairs (2, 0.5) and (-1, 3), computed by hand:
# sp(-2) = 0.126928, sp(1) = 1.313262, sp(0.5) = 0.974077, sp(3) = 3.048587, sp(-0.5) = 0.474077,
# sp(-3) = 0.048587, sp(-1.5) = 0.201413, sp(1.5) = 1.701413, sp(4) = 4.018150, sp(-4) = 0.018150.
BY_HAND = {
    "nonsaturating": ((1.101005, 4.361849), (0.474077, 0.048587)),
    "minimax": ((1.101005, 4.361849), (-0.974077, -3.048587)),
    "lsgan": ((0.5 * (1 + 0.25), 0.5 * (4 + 9)), (0.125, 2.0)),
    "hinge": ((0 + 1.5, 2 + 4), (-0.5, -3.0)),
    "wgan": ((-1.5, 4.0), (-0.5, -3.0)),
    "relativistic": ((0.201413, 4.018150), (1.701413, 0.018150)),
}


def make_loss(name, *smoothing):
    """The loss of that name, with its label smoothing."""
    return registry.resolve(registry.ADVERSARIAL, name, "loss")(*smoothing)


def test_every_loss_of_the_registry_is_tested():
    assert set(BY_HAND) == set(registry.ADVERSARIAL)


@pytest.mark.parametrize("name", BY_HAND)
def test_losses_equal_the_hand_computed_values(name):
    real, fake = jnp.asarray(REAL), jnp.asarray(FAKE)
    d, g = BY_HAND[name]
    np.testing.assert_allclose(make_loss(name).discriminator_loss(real, fake), d, rtol=2e-6)
    np.testing.assert_allclose(make_loss(name).generator_loss(real, fake), g, rtol=2e-5)


def test_label_smoothing_is_one_sided():
    """The target of reals is 0.9: 0.9 sp(-D) + 0.1 sp(D); that of generated images stays 0."""
    real, fake = jnp.asarray(REAL), jnp.asarray(FAKE)
    plain, smooth = make_loss("nonsaturating"), make_loss("nonsaturating", 0.1)
    difference = smooth.discriminator_loss(real, fake) - plain.discriminator_loss(real, fake)
    np.testing.assert_allclose(difference, 0.1 * np.asarray(REAL), rtol=1e-5)  # sp(D) - sp(-D) = D
    squares = make_loss("lsgan", 0.1).discriminator_loss(real, fake)
    np.testing.assert_allclose(squares, [0.5 * (1.1**2 + 0.25), 0.5 * (1.9**2 + 9)], rtol=1e-6)
    np.testing.assert_array_equal(
        smooth.generator_loss(real, fake), plain.generator_loss(real, fake)
    )


def definition(name, real, fake):
    """The losses as the papers print them, with probabilities: (discriminator, generator)."""
    s = lambda t: 1 / (1 + jnp.exp(-t))  # noqa: E731
    cross = -jnp.log(s(real)) - jnp.log(1 - s(fake))
    return {
        "nonsaturating": (cross, -jnp.log(s(fake))),
        "minimax": (cross, jnp.log(1 - s(fake))),
        "lsgan": (((real - 1) ** 2 + fake**2) / 2, (fake - 1) ** 2 / 2),
        "hinge": (jnp.maximum(0, 1 - real) + jnp.maximum(0, 1 + fake), -fake),
        "wgan": (fake - real, -fake),
        "relativistic": (-jnp.log(s(real - fake)), -jnp.log(s(fake - real))),
    }[name]


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("side", [0, 1])
def test_values_and_gradients_are_those_of_the_definition_in_float64(name, side):
    with jax.enable_x64(True):
        real, fake = (jnp.asarray(np.random.default_rng(i).normal(size=9)) for i in (1, 2))
        method = ("discriminator_loss", "generator_loss")[side]
        ours = lambda r, f: jnp.sum(getattr(make_loss(name), method)(r, f))  # noqa: E731
        theirs = lambda r, f: jnp.sum(definition(name, r, f)[side])  # noqa: E731
        np.testing.assert_allclose(ours(real, fake), theirs(real, fake), rtol=1e-12)
        arguments = (0, 1) if side == 0 or make_loss(name).is_relativistic else (1,)
        for a, b in zip(
            jax.grad(ours, arguments)(real, fake), jax.grad(theirs, arguments)(real, fake),
            strict=True,
        ):  # fmt: skip
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", BY_HAND)
def test_extreme_logits_stay_finite(name):
    real, fake = jnp.asarray([1e4, -1e4]), jnp.asarray([-1e4, 1e4])
    for loss_fn in (make_loss(name).discriminator_loss, make_loss(name).generator_loss):
        assert np.isfinite(loss_fn(real, fake)).all()
        grads = jax.grad(lambda r, f, fn=loss_fn: jnp.sum(fn(r, f)), (0, 1))(real, fake)
        assert all(np.isfinite(g).all() for g in grads)


@pytest.mark.parametrize("name", BY_HAND)
def test_shapes_that_differ_are_refused(name):
    with pytest.raises(ValueError, match="logits must be two"):
        make_loss(name).discriminator_loss(jnp.zeros(3), jnp.zeros((3, 1)))


def test_the_overfitting_sign_equals_the_hand_computed_values():
    real, fake = jnp.asarray(REAL), jnp.asarray(FAKE)
    np.testing.assert_array_equal(
        adversarial.overfitting_sign(make_loss("hinge"), real, fake), [1, -1]
    )
    logits = jnp.asarray([0.4, 0.5, 0.6])  # least squares have the targets 1 and 0
    np.testing.assert_array_equal(
        adversarial.overfitting_sign(make_loss("lsgan"), logits, logits), [-1, 0, 1]
    )
    np.testing.assert_array_equal(
        adversarial.overfitting_sign(make_loss("relativistic"), real + 9, fake + 9), [1, -1]
    )


@pytest.mark.parametrize("name", sorted(registry.ADVERSARIAL))
def test_a_loss_without_labels_has_no_label_smoothing(name):
    """A config file may smooth the labels, and an override choose a loss that has none."""
    loss = adversarial_loss(tiny_gan(loss__label_smoothing=0.1, loss__adversarial=name))
    has_labels = name in ("nonsaturating", "minimax", "lsgan")
    assert loss == (make_loss(name, 0.1) if has_labels else make_loss(name))
