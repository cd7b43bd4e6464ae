"""
Modules that are valid by construction, in pieces that can be changed one by one.

Every index that is used exists because the declarations are drawn first.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from valid_bodies import TYPES, BodyMaker, Code, Plan, constant
from wasm_samples import section

from conformance.wasm import encode_items as write
from conformance.wasm.encode_items import instruction
from conformance.wasm.items import FunctionType, GlobalType, Limits, MemoryType, TableType
from conformance.wasm.opcodes import ValType
from conformance.wasm.outline import SECTIONS


@dataclass
class Parts:
    """
    A module as sections of items, and bodies of instructions, so that one piece can be changed.
    """

    sections: dict[str, list[bytes]] = field(default_factory=dict)
    declared: list[bytes] = field(default_factory=list)
    """Of each body the declaration of its locals."""
    bodies: list[Code] = field(default_factory=list)


def _limits(draw: random.Random, most: int) -> Limits:
    minimum = draw.choice((0, 1, 2, most))
    return Limits(minimum, draw.choice((None, minimum, most)))


def plan(draw: random.Random) -> Plan:
    """
    Declarations in which every index that is used exists.
    """
    types = [FunctionType((), ())] + [
        FunctionType(
            tuple(draw.choices(TYPES, k=draw.randrange(4))),
            tuple(draw.choices(TYPES, k=draw.choice((0, 1, 1, 1, 2, 3)))),
        )
        for _ in range(draw.randrange(1, 5))
    ]
    imports = [draw.randrange(len(types)) for _ in range(draw.choice((0, 0, 1, 2)))]
    functions = [draw.randrange(len(types)) for _ in range(draw.randrange(1, 4))]
    tables = [
        TableType(draw.choice(("funcref", "funcref", "externref")), _limits(draw, 9))
        for _ in range(draw.choice((0, 1, 1, 2)))
    ]
    count = len(imports) + len(functions)
    element_types: tuple[ValType, ...] = ("funcref", "funcref", "externref")
    elements = [
        (kind, [draw.randrange(count) for _ in range(draw.randrange(4))])
        for kind in draw.choices(element_types, k=draw.randrange(4))
    ]
    globals_ = [
        GlobalType(draw.choice(TYPES), draw.random() < 0.5) for _ in range(draw.randrange(6))
    ]
    memory = draw.random() < 0.8
    imported_globals = draw.randrange(min(len(globals_), 2) + 1)
    return Plan(types, imports, functions, tables, memory, globals_, imported_globals,
                elements, draw.randrange(3) if memory else 0)  # fmt: skip


def _initialiser(draw: random.Random, made: Plan, kind: ValType, count: int) -> bytes:
    places = [
        index
        for index, found in enumerate(made.globals[: made.imported_globals])
        if found.type == kind and not found.mutable
    ]
    if places and draw.random() < 0.4:
        return instruction("global.get", draw.choice(places)) + b"\x0b"
    return constant(draw, kind, list(range(count))) + b"\x0b"


def parts(draw: random.Random) -> Parts:
    """
    A valid module of at most about two thousand bytes, in pieces.
    """
    made = plan(draw)
    count = len(made.function_types)
    found = Parts()
    sections = found.sections
    sections["type"] = [write.function_type(described) for described in made.types]
    sections["import"] = [
        write.name("env") + write.name(f"f{i}") + b"\0" + write.unsigned(index)
        for i, index in enumerate(made.imports)
    ] + [
        write.name("env") + write.name(f"g{i}") + b"\3" + write.global_type(described)
        for i, described in enumerate(made.globals[: made.imported_globals])
    ]
    sections["function"] = [write.unsigned(index) for index in made.functions]
    sections["table"] = [write.table_type(table) for table in made.tables]
    sections["memory"] = [write.memory_type(MemoryType(_limits(draw, 20)))] if made.memory else []
    sections["global"] = [
        write.global_type(described) + _initialiser(draw, made, described.type, count)
        for described in made.globals[made.imported_globals :]
    ]
    sections["export"] = _exports(draw, made, count)
    starts = [i for i, t in enumerate(made.function_types) if made.types[t] == made.types[0]]
    if starts and draw.random() < 0.3:
        sections["start"] = [write.unsigned(draw.choice(starts))]
    sections["element"] = [_segment(draw, made, kind, fs) for kind, fs in made.elements]
    sections["data"] = [_data(draw, made) for _ in range(made.data)]
    budget = draw.choice((8, 20, 60, 150)) // len(made.functions)
    for index in made.functions:
        maker = BodyMaker(draw, made, made.types[index], budget)
        found.bodies.append(maker.body())
        size, declared = 1, write.body(maker.runs, [])
        found.declared.append(declared[size:])
    return found


def assembled(found: Parts) -> bytes:
    """
    The file; sections without items are left out.
    """
    payloads = {name: write.vector(items) for name, items in found.sections.items() if items}
    if "start" in payloads:
        payloads["start"] = found.sections["start"][0]
    if found.bodies:
        entries = [
            declared + b"".join(code)
            for declared, code in zip(found.declared, found.bodies, strict=False)
        ]
        payloads["code"] = write.vector([write.unsigned(len(e)) + e for e in entries])
    if found.sections.get("data"):
        payloads["data count"] = write.unsigned(len(found.sections["data"]))
    return joined({number: payloads[name] for number, name in SECTIONS.items() if name in payloads})


def joined(payloads: dict[int, bytes]) -> bytes:
    """
    A header and sections by their numbers.
    """
    return b"\0asm\1\0\0\0" + b"".join(section(*row) for row in payloads.items())


def _exports(draw: random.Random, made: Plan, count: int) -> list[bytes]:
    spaces = (count, len(made.tables), int(made.memory), len(made.globals))
    every = [bytes([kind]) + write.unsigned(index)
             for kind, size in enumerate(spaces) for index in range(size)]  # fmt: skip
    chosen = draw.sample(every, draw.randrange(min(4, len(every)) + 1))
    return [write.name(f"e{place}") + item for place, item in enumerate(chosen)]


def _segment(draw: random.Random, made: Plan, kind: ValType, functions: list[int]) -> bytes:
    tables = [index for index, table in enumerate(made.tables) if table.element == kind]
    flags, head = draw.choice((1, 3)), b""
    if tables and draw.random() < 0.6:
        table = draw.choice(tables)
        flags = 2 if table or kind == "externref" or draw.random() < 0.3 else 0
        head = write.unsigned(table) if flags else b""
        head += _initialiser(draw, made, "i32", len(made.function_types))
    expressions = kind == "externref" or draw.random() < 0.3
    flags |= 4 if expressions else 0
    if flags & 3:
        reference = b"\x70" if kind == "funcref" else b"\x6f"
        head += reference if expressions else b"\0"
    items = [write.unsigned(index) for index in functions]
    if expressions:
        items = [
            instruction("ref.func", index) + b"\x0b"
            if kind == "funcref"
            else instruction("ref.null", kind) + b"\x0b"
            for index in functions
        ]
    return write.unsigned(flags) + head + write.vector(items)


def _data(draw: random.Random, made: Plan) -> bytes:
    content = draw.randbytes(draw.randrange(8))
    raw = write.unsigned(len(content)) + content
    form = draw.randrange(3)
    if form == 1:
        return b"\1" + raw
    offset = _initialiser(draw, made, "i32", 1)
    return (b"\0" if form == 0 else b"\2\0") + offset + raw


def valid_modules(seed: int, count: int, most_bytes: int = 2048) -> list[bytes]:
    """
    *count* modules from *seed*, each of at most *most_bytes*.
    """
    draw = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    made: list[bytes] = []
    while len(made) < count:
        data = assembled(parts(draw))
        if len(data) <= most_bytes:
            made.append(data)
    return made
