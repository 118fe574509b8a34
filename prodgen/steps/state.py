"""What a training step changes: everything a run must save, and nothing else."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from prodgen import optim
from prodgen.core import trees
from prodgen.core.errors import UsageError
from prodgen.core.types import Array, Metrics, Spec
from prodgen.models import conditioning

Tree = Any


@flax.struct.dataclass
class Net:
    """One trained network: weights, statistics, optimiser state, averaged weights or None.

    The optimiser sees all weights as one vector, so its state has a few long leaves and not a few
    for each layer: a tenth of the operations to compile and to start. `ema` never aliases
    `params`: a donated buffer may be given away only once.
    """

    params: Tree
    vars: Tree
    opt: Tree
    ema: Tree

    def judged(self) -> Tree:
        """The weights that are evaluated and sampled: the averaged ones where they exist."""
        return self.params if self.ema is None else self.ema


@flax.struct.dataclass
class State:
    """The step counter, the networks by name, and small named extras (all scalars on the device).

    `step` counts updates attempted, the skipped ones included: data and noise follow from it.
    """

    step: Array
    nets: dict[str, Net]
    extras: dict[str, Array]


def fresh(params: Tree, transform: optax.GradientTransformation, ema: bool) -> Net:
    """A network before its first step."""
    opt = transform.init(ravel_pytree(params)[0])
    return Net(params, {}, opt, copy(params) if ema else None)


def descend(
    net: Net, gradient: Array, transform: optax.GradientTransformation, decay: float, step: Array
) -> Net:
    """The network after one update by `gradient`, the vector of `ravel_pytree`; `ema` follows."""
    before, tree_of = ravel_pytree(net.params)
    updates, opt = transform.update(gradient, net.opt, before)
    after = before + updates
    ema = net.ema
    if ema is not None:
        ema = tree_of(optim.average(ravel_pytree(ema)[0], after, decay, step))
    return net.replace(params=tree_of(after), opt=opt, ema=ema)


def counters() -> dict[str, Array]:
    """The extras of every family: steps skipped in all, and in a row up to now."""
    return {"skipped": jnp.zeros((), jnp.int32), "skipped_in_a_row": jnp.zeros((), jnp.int32)}


def commit(old: State, new: State, ok: Array, metrics: Metrics) -> tuple[State, Metrics]:
    """`new` where bool scalar `ok` holds; otherwise `old` with the skip counted. Step advances.

    A step whose loss or gradients are not finite must not touch weights, optimiser or averages.
    """
    kept = trees.select(ok, new, old)
    skipped = jnp.logical_not(ok).astype(jnp.int32)
    counts = {
        "skipped": old.extras["skipped"] + skipped,
        "skipped_in_a_row": (old.extras["skipped_in_a_row"] + 1) * skipped,
    }
    state = kept.replace(step=old.step + 1, extras={**kept.extras, **counts})
    return state, {**metrics, **counts}


def all_finite(*values: Array) -> Array:
    """Whether every scalar is finite."""
    return jnp.all(jnp.stack([jnp.isfinite(value) for value in values]))


def copy(tree: Tree) -> Tree:
    """A tree with the same values in buffers of its own."""
    return jax.tree.map(jnp.copy, tree)


def adopt(state: State, donor: State, spec: Spec, theirs: Spec) -> tuple[State, list[str]]:
    """Start from another run's judged weights: (state, what could not be taken over and why).

    Leaves are matched by path; a leaf absent there or of another shape keeps its fresh value. So
    do all whose only matter is the conditions, where the donor's spec, `theirs`, names others. A
    donor that shares no leaf at all is another kind of model: UsageError.
    """
    nets, differences, taken = {}, conditioning.describe_differences(theirs, spec), 0
    other_conditions = bool(differences)
    for name, net in state.nets.items():
        given = trees.names(donor.nets[name].judged()) if name in donor.nets else {}
        mine = trees.names(net.params)
        reasons = {p: _why(leaf, given.get(p)) for p, leaf in mine.items()}
        if other_conditions:
            readers = [p for p in mine if set(p.split("/")) & set(conditioning.CONDITION_MODULES)]
            reasons |= {p: reasons[p] or "reads other conditions there" for p in readers}
        differences += [f"{name}/{p}: {reason}" for p, reason in reasons.items() if reason]
        taken += sum(not reason for reason in reasons.values())
        leaves = [leaf if reasons[p] else given[p] for p, leaf in mine.items()]
        params = jax.tree.unflatten(jax.tree.structure(net.params), leaves)
        ema = None if net.ema is None else copy(params)
        nets[name] = net.replace(params=copy(params), ema=ema)
    if not taken:
        raise UsageError(
            "--init_from: the two runs share no weights", "choose a run of the same model"
        )
    return state.replace(nets=nets), differences


def _why(mine: Array, theirs: Array | None) -> str:
    """Why a leaf cannot be taken over; "" where it can."""
    if theirs is None:
        return f"absent there, {list(mine.shape)} here"
    if theirs.shape != mine.shape:
        return f"{list(theirs.shape)} there, {list(mine.shape)} here"
    return ""
