"""What an optimised XLA program holds: convolutions, matrix products, transposes, collectives.

The text is that of `compiled.as_text()`, of any platform. An instruction in the body of a loop
counts once: it is compiled once. The bytes of collectives count each iteration, as they are sent.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterator

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
CONVOLUTION_TARGETS = ("__cudnn$conv", "__onednn$conv")
MATRIX_PRODUCT_TARGETS = ("__cublas$", "__onednn$matmul")
ATTRIBUTES_OF_A_KIND = (
    "window", "dim_labels", "feature_group_count", "batch_group_count", "lhs_contracting_dims",
    "rhs_contracting_dims", "lhs_batch_dims", "rhs_batch_dims", "custom_call_target",
)  # fmt: skip
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<rest>.*)$")
OPERATION = re.compile(r"^(?P<shape>\(.*?\)|\S+) (?P<operation>[a-z][\w\-]*)\((?P<rest>.*)$")
COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{\s*$")
ARRAY = re.compile(r"\b(?P<type>pred|[a-z]+\d+\w*)\[(?P<sizes>[\d,]*)\]")
CALL_ATTRIBUTE = re.compile(
    r"\b(calls|to_apply|body|condition|branch_computations|called_computations)="
    r"(\{[^}]*\}|%?[\w.\-]+)"
)
TRIP_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
LAYOUT = re.compile(r"\{[^{}]*\}")
COMMENT = re.compile(r"/\*.*?\*/")


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction: `shape` is that of its result, with types and without layouts."""

    name: str
    computation: str
    shape: str
    operation: str
    operands: tuple[str, ...]
    text: str

    def attribute(self, name: str) -> str:
        """An attribute such as `window` or `custom_call_target`; "" where there is none."""
        match = re.search(rf'\b{name}=(\{{[^}}]*\}}|"[^"]*"|[^,\s]+)', self.text)
        return match[1].strip('"') if match else ""


@dataclasses.dataclass(frozen=True)
class ProgramCounts:
    """Instructions of a program, and the bytes that a device sends and receives in collectives.

    convolution_kinds, matrix_product_kinds: the distinct ones by shapes, types, window, layout of
    the axes, groups and library function; each is tuned by itself on a GPU. copies: of arrays, not
    of scalars, nor the asynchronous ones between memories. collective_bytes: of the arrays that the
    devices combine in a step, each once. ring_bytes: what each of very many devices sends for
    them in a ring: an all-reduce sends its array twice, another collective once.
    """

    convolutions: int
    convolution_kinds: int
    matrix_products: int
    matrix_product_kinds: int
    transposes: int
    copies: int
    collectives: int
    collective_bytes: int
    ring_bytes: int


def count_instructions(text: str) -> ProgramCounts:
    """The counts of an optimised program's text."""
    instructions = list(parse_instructions(text))
    shapes = {instruction.name: instruction.shape for instruction in instructions}
    convolutions = [x for x in instructions if is_convolution(x)]
    products = [x for x in instructions if is_matrix_product(x)]
    collectives = [x for x in instructions if _collective(x)]
    runs = _count_runs(instructions, text)
    sizes = [_collective_bytes(x, instructions, shapes) * runs(x.computation) for x in collectives]
    ring_bytes = sum(
        size * (2 if _collective(instruction) == "all-reduce" else 1)
        for size, instruction in zip(sizes, collectives, strict=True)
    )
    return ProgramCounts(
        convolutions=len(convolutions),
        convolution_kinds=len({describe_kind(x, shapes) for x in convolutions}),
        matrix_products=len(products),
        matrix_product_kinds=len({describe_kind(x, shapes) for x in products}),
        transposes=sum(x.operation == "transpose" for x in instructions),
        copies=sum(x.operation == "copy" and "[]" not in x.shape for x in instructions),
        collectives=len(collectives),
        collective_bytes=sum(sizes),
        ring_bytes=ring_bytes,
    )


def parse_instructions(text: str) -> Iterator[Instruction]:
    """All instructions of a program's text, those inside fusions and loops too."""
    computation = ""
    for line in text.splitlines():
        if header := COMPUTATION.match(line):
            computation = header["name"]
        elif match := INSTRUCTION.match(line):
            operation = OPERATION.match(_remove_layouts(match["rest"]))
            if operation:
                yield Instruction(
                    match["name"],
                    computation,
                    operation["shape"],
                    operation["operation"],
                    tuple(re.findall(r"%([\w.\-]+)", _first_arguments(operation["rest"]))),
                    line,
                )


def is_convolution(instruction: Instruction) -> bool:
    """Whether it is a convolution, also as a library call; not a matrix product in its form."""
    if instruction.operation == "custom-call":
        return instruction.attribute("custom_call_target").startswith(CONVOLUTION_TARGETS)
    return instruction.operation == "convolution" and not _is_product_as_convolution(instruction)


def is_matrix_product(instruction: Instruction) -> bool:
    """Whether it is a matrix product, also as a library call or as a TPU's convolution."""
    if instruction.operation == "custom-call":
        return instruction.attribute("custom_call_target").startswith(MATRIX_PRODUCT_TARGETS)
    is_product = _is_product_as_convolution(instruction)
    return instruction.operation == "dot" or (instruction.operation == "convolution" and is_product)


def _is_product_as_convolution(instruction: Instruction) -> bool:
    """TPUs multiply matrices by convolutions; the axes of a batch are then spatial ones."""
    labels = instruction.attribute("dim_labels").partition("_")[0]
    operation_name = instruction.attribute("op_name").rpartition("/")[2]
    return len(labels) == 2 or operation_name == "dot_general"


def describe_kind(instruction: Instruction, shapes: dict[str, str]) -> tuple[str, ...]:
    """What distinguishes convolutions and matrix products: equal ones are tuned once.

    shapes: of all instructions, by name.
    """
    operands = (shapes.get(name, "") for name in instruction.operands)
    attributes = (instruction.attribute(name) for name in ATTRIBUTES_OF_A_KIND)
    return (instruction.operation, instruction.shape, *operands, *attributes)


def _remove_layouts(text: str) -> str:
    """f32[8,3]{1,0:T(8,128)} becomes f32[8,3]; comments in a tuple go too."""
    return LAYOUT.sub("", COMMENT.sub("", text))


def _first_arguments(text: str) -> str:
    """The text up to the parenthesis that closes the operands."""
    depth = 1
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return text[:position]
    return text


def _collective(instruction: Instruction) -> str:
    """The name of a collective; of an asynchronous one only the end counts. "" for others."""
    name = instruction.operation.removesuffix("-done")
    return name if name in COLLECTIVES else ""


def _collective_bytes(
    instruction: Instruction, instructions: list[Instruction], shapes: dict[str, str]
) -> int:
    """The larger of operands and result: the whole array of a gather or a scatter."""
    operands = instruction.operands
    if instruction.operation.endswith("-done"):
        starts = (x for x in instructions if x.name in operands)
        operands = tuple(name for start in starts for name in start.operands)
    operand_bytes = sum(count_array_bytes(shapes.get(name, "")) for name in operands)
    return max(operand_bytes, count_array_bytes(instruction.shape))


def count_array_bytes(shape: str) -> int:
    """The bytes of f32[8,3], or of all arrays of a tuple of such."""
    total = 0
    for match in ARRAY.finditer(shape):
        bits = 8 if match["type"] == "pred" else int(re.search(r"\d+", match["type"])[0])
        elements = math.prod(int(size) for size in match["sizes"].split(",") if size)
        total += elements * bits // 8
    return total


def _count_runs(instructions: list[Instruction], text: str) -> Callable[[str], int]:
    """A function from a computation to the times that a step runs it: loops have trip counts."""
    entry = next((m["name"] for line in text.splitlines() if (m := COMPUTATION.match(line))
                  and m["entry"]), "")  # fmt: skip
    callers: dict[str, list[tuple[str, int]]] = {}
    for instruction in instructions:
        for attribute, names in CALL_ATTRIBUTE.findall(instruction.text):
            trips = 1
            if instruction.operation == "while" and attribute == "body":
                trips = _trip_count(instruction, instructions)
            for name in re.findall(r"[\w.\-]+", names):
                callers.setdefault(name, []).append((instruction.computation, trips))

    @functools.cache
    def count(computation: str) -> int:
        if computation == entry:
            return 1
        return sum(trips * count(caller) for caller, trips in callers.get(computation, []))

    return count


def _trip_count(loop: Instruction, instructions: list[Instruction]) -> int:
    """The iterations of a loop: known, or the limit in its condition; 1 where neither is there."""
    if known := TRIP_COUNT.search(loop.text):
        return int(known[1])
    condition = loop.attribute("condition").lstrip("%")
    limits = [
        int(match[1])
        for instruction in instructions
        if instruction.computation == condition
        and (match := re.search(r"= s32\[\]\S* constant\((\d+)\)", instruction.text))
    ]
    return limits[0] if len(limits) == 1 else 1
