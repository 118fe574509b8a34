"""The floating-point operations of a function, by formula from its traced operations.

Convolutions and matrix products are counted, a multiplication and an addition as two operations.
Everything else is left out: it is memory traffic rather than arithmetic. So are the operations
that a lowering adds: padding of groups, zeros between the pixels of a dilated image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax

from prodgen.parallel.lowering import select_lowering, use_lowering


def count_flops(function: Callable, *arguments: Any) -> float:
    """The operations of one call of `function`, traced with native groups; nothing is computed.

    arguments: arrays or jax.ShapeDtypeStruct. The body of a scan counts once for each iteration,
    of a while loop once, and of a conditional the most expensive branch. What a rematerialised
    function computes twice counts twice.
    """
    with use_lowering(select_lowering("gpu", 1)):
        return _count_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count_jaxpr(jaxpr: Any) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "conv_general_dilated":
            total += _count_convolution(equation)
        elif name == "dot_general":
            total += _count_matrix_product(equation)
        elif name == "cond":
            total += max(map(_count_jaxpr, _inner_jaxprs(equation)))
        else:
            repeats = equation.params["length"] if name == "scan" else 1
            total += repeats * sum(map(_count_jaxpr, _inner_jaxprs(equation)))
    return total


def _inner_jaxprs(equation: Any) -> Iterator[Any]:
    """The jaxprs that an equation runs: of a scan, a call, each branch of a conditional."""
    for value in equation.params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            item = getattr(item, "jaxpr", item)  # a ClosedJaxpr holds its jaxpr
            if hasattr(item, "eqns"):
                yield item


def _count_convolution(equation: Any) -> float:
    """2 B Ho Wo kh kw (Ci / groups) Co; a gradient of a convolution counts as the convolution.

    Along each spatial axis a product belongs to one input pixel, one tap and one output pixel, and
    two of them determine the third. So the two smallest sizes give the number of products.
    """
    image, kernel = (variable.aval.shape for variable in equation.invars)
    output = equation.outvars[0].aval.shape
    layout = equation.params["dimension_numbers"]
    products = 1
    for axes in zip(layout.lhs_spec[2:], layout.rhs_spec[2:], layout.out_spec[2:], strict=True):
        sizes = sorted(
            shape[axis] for shape, axis in zip((image, kernel, output), axes, strict=True)
        )
        products *= sizes[0] * sizes[1]
    batch, features = (output[axis] for axis in layout.out_spec[:2])
    return 2.0 * products * batch * features * kernel[layout.rhs_spec[1]]


def _count_matrix_product(equation: Any) -> float:
    """2 M N K, for each element of a batch."""
    (contracting_axes, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    contraction = math.prod(shape[axis] for axis in contracting_axes)
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * contraction
