"""What a training step changes: everything a run must save, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from ml_collections import ConfigDict

from prodgen import optim
from prodgen.core import trees
from prodgen.core.errors import UsageError
from prodgen.core.trees import Tree
from prodgen.core.types import Array, Metrics, Spec
from prodgen.models import conditioning
from prodgen.parallel import state_sharding
from prodgen.parallel.device_mesh import DATA_AXIS

NET_NAMES = {"vae": "the VAE", "g": "the generator", "d": "the discriminator"}
CONDITION_LAYERS = {
    "embedding": "the embedding of the conditions",
    "prior": "the conditional prior",
    "film": "the FiLM layers",
}
MAX_NEW_PARTS = 8  # that a sentence names
PMean = Callable[[Array], Array]  # the mean over devices of a value that each has its own of


@flax.struct.dataclass
class Net:
    """One trained network: weights, statistics, optimiser state, averaged weights or None.

    The optimiser updates all weights as one vector. Its state then has a few long leaves instead
    of a few for each layer: a tenth of the operations to compile and to start. With
    config.parallel.fsdp it updates leaf by leaf. `ema` never aliases `params`, because a buffer can
    be donated only once.
    """

    params: Tree
    vars: Tree
    opt: Tree
    ema: Tree

    def eval_params(self) -> Tree:
        """The weights for evaluation and sampling: the averaged ones where they exist."""
        return self.params if self.ema is None else self.ema


@flax.struct.dataclass
class State:
    """The step counter, the networks by name, and small named extras (all scalars on the device).

    `step` also counts the steps that were skipped, because data and noise are functions of it.
    """

    step: Array
    nets: dict[str, Net]
    extras: dict[str, Array]


def create_net(
    config: ConfigDict, params: Tree, optimiser: optax.GradientTransformation, ema: bool
) -> Net:
    """A network before its first step."""
    # The devices divide the optimiser's state leaf by leaf.
    opt = optimiser.init(params if config.parallel.fsdp else ravel_pytree(params)[0])
    return Net(params, {}, opt, copy(params) if ema else None)


def make_net_update(config: ConfigDict, optimiser: optax.GradientTransformation) -> Callable:
    """(net, gradient vector, EMA decay, step) -> net: one update, of all weights or of parts."""

    def update(net: Net, grad: Array, ema_decay: float, step: Array) -> Net:
        if config.parallel.fsdp:
            return apply_gradient_to_parts(net, grad, optimiser, config.optim.clip, ema_decay, step)
        return apply_gradient(net, grad, optimiser, ema_decay, step)

    return update


def apply_gradient(
    net: Net, grad: Array, optimiser: optax.GradientTransformation, ema_decay: float, step: Array
) -> Net:
    """The network after one update by `grad`, a vector as `ravel_pytree` gives it."""
    params, unravel = ravel_pytree(net.params)
    updates, opt = optimiser.update(grad, net.opt, params)
    params = params + updates
    # The average follows the new weights.
    ema = net.ema
    if ema is not None:
        ema = unravel(optim.update_ema(ravel_pytree(ema)[0], params, ema_decay, step))
    return net.replace(params=unravel(params), opt=opt, ema=ema)


def apply_gradient_to_parts(
    net: Net,
    grad: Array,
    optimiser: optax.GradientTransformation,
    clip: float,
    ema_decay: float,
    step: Array,
) -> Net:
    """`apply_gradient` where a mapped step holds parts of `opt` and `ema`, and `params` whole.

    clip: the largest global norm of `grad`, a vector; 0: any.
    """
    _, unravel = ravel_pytree(net.params)
    specs = state_sharding.make_specs(net.params, jax.lax.axis_size(DATA_AXIS))
    if clip:
        grad, _ = optax.clip_by_global_norm(clip).update(grad, optax.EmptyState())
    params, grads = state_sharding.take_parts((net.params, unravel(grad)), (specs, specs))
    updates, opt = optimiser.update(grads, net.opt, params)
    params = optax.apply_updates(params, updates)
    ema = None if net.ema is None else optim.update_ema(net.ema, params, ema_decay, step)
    return net.replace(params=state_sharding.gather(params, specs), opt=opt, ema=ema)


def create_skip_counters() -> dict[str, Array]:
    """The extras of every family: the steps skipped so far, and those in a row up to now."""
    return {"skipped": jnp.zeros((), jnp.int32), "skipped_in_a_row": jnp.zeros((), jnp.int32)}


def apply_if_finite(
    old: State, new: State, is_finite: Array, metrics: Metrics
) -> tuple[State, Metrics]:
    """`new` where bool scalar `is_finite` holds; otherwise `old` and one more skipped step.

    A step whose loss or gradients are not finite must not change weights, optimiser or averages.
    The step counter advances in both cases.
    """
    state = trees.select(is_finite, new, old)
    is_skipped = jnp.logical_not(is_finite).astype(jnp.int32)
    counts = {
        "skipped": old.extras["skipped"] + is_skipped,
        "skipped_in_a_row": (old.extras["skipped_in_a_row"] + 1) * is_skipped,
    }
    state = state.replace(step=old.step + 1, extras={**state.extras, **counts})
    return state, {**metrics, **counts}


def all_finite(*values: Array) -> Array:
    """Whether every scalar is finite."""
    return jnp.all(jnp.stack([jnp.isfinite(value) for value in values]))


def without_optimisers(state: State) -> State:
    """The state without what only the next update reads."""
    nets = {name: net.replace(opt=None) for name, net in state.nets.items()}
    return state.replace(nets=nets)


def copy(tree: Tree) -> Tree:
    """A tree with the same values in new buffers."""
    return jax.tree.map(jnp.copy, tree)


@dataclasses.dataclass
class Transfer:
    """What a new run takes over from another's weights.

    An array is one leaf of `params`, a weight one of its numbers. new_parts: the layers that keep
    their initial values, in words. differences: every such leaf, and why.
    """

    num_arrays: int = 0
    num_loaded_arrays: int = 0
    num_weights: int = 0
    num_loaded_weights: int = 0
    new_parts: list[str] = dataclasses.field(default_factory=list)
    differences: list[str] = dataclasses.field(default_factory=list)

    def describe(self, origin: str) -> str:
        """One sentence: how many arrays are those of `origin`, and what starts fresh."""
        if self.num_loaded_arrays == self.num_arrays:
            return f"all {self.num_arrays} arrays are those of {origin}; new: the optimiser"
        # Neither 0 nor 100 % where it is neither none nor all.
        percent = round(100 * self.num_loaded_weights / self.num_weights)
        parts = [*self.new_parts[:MAX_NEW_PARTS], "the optimiser"]
        num_more = len(self.new_parts) - MAX_NEW_PARTS
        if num_more > 0:
            parts.insert(MAX_NEW_PARTS, f"{num_more} more layers")
        return (
            f"{self.num_loaded_arrays} of {self.num_arrays} arrays "
            f"({min(max(percent, 1), 99)} % of the weights) are those of {origin}; "
            f"new: {', '.join(parts[:-1])} and {parts[-1]}"
        )


def load_pretrained(
    state: State, donor: State, spec: Spec, donor_spec: Spec
) -> tuple[State, Transfer]:
    """Start from another run's evaluation weights.

    Leaves are matched by path; a leaf that the donor lacks or has in another shape keeps its
    initial value. So do the leaves that read conditions, where the two specs name other
    conditions. UsageError where the donor shares no leaf: it is another kind of model.
    """
    nets, transfer = {}, Transfer()
    transfer.differences = conditioning.describe_differences(donor_spec, spec)
    same_conditions = not transfer.differences
    for name, net in state.nets.items():
        donor_leaves = (
            trees.flatten_with_paths(donor.nets[name].eval_params()) if name in donor.nets else {}
        )
        leaves, new_parts = [], {}  # a dictionary keeps the order of its keys
        for path, leaf in trees.flatten_with_paths(net.params).items():
            reason = _mismatch(leaf, donor_leaves.get(path))
            if not (reason or same_conditions) and set(path.split("/")) & set(
                conditioning.CONDITION_MODULES
            ):
                reason = "reads other conditions there"
            transfer.num_arrays += 1
            transfer.num_weights += leaf.size
            if reason:
                transfer.differences.append(f"{name}/{path}: {reason}")
                new_parts[_name_part(path, name)] = True
            else:
                transfer.num_loaded_arrays += 1
                transfer.num_loaded_weights += leaf.size
            leaves.append(leaf if reason else donor_leaves[path])
        transfer.new_parts += new_parts if donor_leaves else [NET_NAMES.get(name, name)]
        # Buffers of their own for params and ema: both are donated.
        params = jax.tree.unflatten(jax.tree.structure(net.params), leaves)
        ema = None if net.ema is None else copy(params)
        nets[name] = net.replace(params=copy(params), ema=ema)
    if not transfer.num_loaded_arrays:
        raise UsageError(
            "--init_from: the two runs share no weights", "choose a run of the same model"
        )
    return state.replace(nets=nets), transfer


def _name_part(path: str, net: str) -> str:
    """The layer that a leaf belongs to, as in "encoder/head of the VAE"."""
    modules = path.split("/")
    words = [CONDITION_LAYERS[name] for name in modules if name in CONDITION_LAYERS]
    layer = words[0] if words else "/".join(modules[:-1]) or path
    return f"{layer} of {NET_NAMES.get(net, net)}"


def _mismatch(leaf: Array, donor_leaf: Array | None) -> str:
    """Why a leaf cannot be loaded; "" where it can."""
    if donor_leaf is None:
        return f"absent there, {list(leaf.shape)} here"
    if donor_leaf.shape != leaf.shape:
        return f"{list(donor_leaf.shape)} there, {list(leaf.shape)} here"
    return ""
