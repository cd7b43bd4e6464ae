"""
Guesses how a module wants to be called, from the names and types of its exports.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from conformance.manifest.errors import BadSubjectError
from conformance.manifest.read import MAX_PARAMETERS
from conformance.wasm.items import FunctionType, Import
from conformance.wasm.module import Module
from runners.hosts.setting import Abi, HostSetting

MAX_CALLS: Final = 200
"""Most `[[call]]` tables in a draft."""

_BUFFER_WORDS = r"(?:_?(?:ptr|pointer|buf|buffer|addr|address|offset|data))*"
_INPUT = re.compile(rf"_*(?:get_?)?in(?:put)?s?{_BUFFER_WORDS}_*\Z", re.IGNORECASE)
_OUTPUT = re.compile(rf"_*(?:get_?)?(?:out(?:put)?s?|result){_BUFFER_WORDS}_*\Z", re.IGNORECASE)
_ALLOCATOR = re.compile(r"_*(?:\w*_)?(?:m?alloc|allocate)_*\Z", re.IGNORECASE)
_HOUSEKEEPING = re.compile(
    r"_*(?:\w*_)?(?:free|dealloc|deallocate|realloc|calloc|reset|version|abi_version)_*\Z"
    r"|_start\Z|stackSave\Z|stackRestore\Z|stackAlloc\Z",
    re.IGNORECASE,
)
_INITIALISERS: Final = ("_initialize", "__wasm_call_ctors")
_ENTRY_NAMES: Final = (
    "infer", "predict", "inference", "forward", "run", "model", "evaluate", "eval", "score",
    "process", "compute", "main",
)  # fmt: skip
_MAX_ADDRESSES: Final = 4
"""Input, its length, output, its length."""
_MINIFIED: Final = 2
"""Most characters of a minified name."""
_CONTRACT: Final = re.compile(r"interface_version_\d+\Z")
_SCALARS: Final = frozenset({"i32", "i64", "f64"})


class CallGuess(Struct, frozen=True):
    """
    One export that takes and gives scalars.
    """

    entry: str
    parameters: tuple[str, ...]
    results: tuple[str, ...]


class AbiGuess(Struct, frozen=True, kw_only=True):
    """
    How a module seems to be called: an entry with buffers, or else scalar calls.
    """

    entry: str = ""
    arguments: tuple[str, ...] = ()
    """As in `[abi]`, with `length` for what seems to be a number of elements."""
    results: tuple[str, ...] = ()
    input_pointer: tuple[str, str] = ("address", "")
    """(`export` or `allocator`, its name), or `address`."""
    output_pointer: tuple[str, str] | None = None
    """As above, or `result`; None: the entry's results are the output."""
    calls: tuple[CallGuess, ...] = ()
    left_out: tuple[str, ...] = ()
    """One sentence per exported function that no draft can call."""
    initialize: tuple[str, ...] = ()
    dtype: str = "f64"
    """What the module mostly computes with."""
    pages: int = 512


def guess_abi(module: Module) -> AbiGuess:
    """
    Look at the exports of *module*; raises BadSubjectError where no plain call is possible.
    """
    functions = {
        export.name: module.function_type(export.index)
        for export in module.exports
        if export.kind == "function"
    }
    if any(_CONTRACT.match(name) for name in functions):
        message = "the module is a CosmWasm contract; a manifest describes plain modules so far"
        raise BadSubjectError(message)
    if not functions:
        message = "the module exports no function, so there is nothing to call"
        raise BadSubjectError(message)
    initialize = tuple(
        name for name in _INITIALISERS if functions.get(name) == FunctionType((), ())
    )[:1]
    found = _with_buffers(module, functions)
    if found is None:
        calls, left_out = _scalar_calls(functions)
        if not calls:
            message = (
                "no exported function can be called with buffers or scalars; there are "
                + "; ".join(left_out[:8])
            )
            raise BadSubjectError(message)
        found = AbiGuess(calls=calls, left_out=left_out)
    limits = module.memory_limits
    least, most = limits if limits is not None else (1, None)
    return AbiGuess(
        entry=found.entry,
        arguments=found.arguments,
        results=found.results,
        input_pointer=found.input_pointer,
        output_pointer=found.output_pointer,
        calls=found.calls,
        left_out=found.left_out,
        initialize=initialize,
        dtype=_dtype(module),
        pages=min(65_536, max(1, most if most is not None else max(512, least))),
    )


def is_minified(item: Import) -> bool:
    """
    Whether an import looks like emscripten's minified ones, such as `a.b`.
    """
    return max(len(item.module), len(item.name)) <= _MINIFIED


def guess_kind(module: Module) -> Abi:
    """
    The ABI whose host has answers for the module's imports; `plain` if none seems to.
    """
    functions = [item for item in module.imports if item.kind == "function"]
    kinds: tuple[Abi, ...] = ("wasi", "emscripten")
    for kind in kinds:
        host = HostSetting(abi=kind)
        if functions and all(host.knows(item.key) for item in functions):
            return kind
    known = HostSetting(abi="emscripten")
    if any(known.knows(item.key) or is_minified(item) for item in functions):
        return "emscripten"
    return "plain"


def _dtype(module: Module) -> str:
    """
    f64 if the module computes with it, else f32 if it does with that, else i32.
    """
    names = module.float_operators
    if any("f64" in name for name in names) or not names:
        return "f64" if names else "i32"
    return "f32"


def _with_buffers(module: Module, functions: dict[str, FunctionType]) -> AbiGuess | None:
    if not any(export.kind == "memory" for export in module.exports):
        return None
    pointer = FunctionType((), ("i32",))
    allocator = FunctionType(("i32",), ("i32",))
    inputs = [n for n, t in functions.items() if t == pointer and _INPUT.match(n)]
    outputs = [n for n, t in functions.items() if t == pointer and _OUTPUT.match(n)]
    allocators = [n for n, t in functions.items() if t == allocator and _ALLOCATOR.match(n)]
    taken = {*inputs, *outputs, *allocators, *_INITIALISERS}
    candidates = [
        name
        for name, kind in functions.items()
        if name not in taken and not _HOUSEKEEPING.match(name) and _takes_buffers(kind)
    ]
    named = [
        name for wanted in _ENTRY_NAMES for name in candidates if wanted in name.lower().split("_")
    ]
    # Without a telling name, integers may as well be numbers: only other exports can tell.
    entry = named[0] if named else (candidates[0] if candidates and (inputs or allocators) else "")
    if not entry or (not functions[entry].parameters and not inputs):
        return None
    return _entry(entry, functions[entry], inputs, outputs, allocators)


def _takes_buffers(kind: FunctionType) -> bool:
    """
    Whether a function may take addresses: up to four i32, and at most one scalar result.
    """
    return (
        len(kind.parameters) <= _MAX_ADDRESSES
        and set(kind.parameters) <= {"i32"}
        and len(kind.results) <= 1
        and set(kind.results) <= _SCALARS
    )


def _entry(
    name: str, kind: FunctionType, inputs: list[str], outputs: list[str], allocators: list[str]
) -> AbiGuess:
    by_result = kind.results == ("i32",) and not outputs
    given = allocators[:1]
    where = ("allocator", given[0]) if given else ("address", "")
    output_place = ("export", outputs[0]) if outputs else where
    arguments: tuple[str, ...] = {
        0: (),
        1: ("input",),
        2: ("input", "length") if by_result or outputs else ("input", "output"),
        3: ("input", "length", "output"),
        4: ("input", "length", "output", "length"),
    }[len(kind.parameters)]
    output: tuple[str, str] | None = None
    if "output" in arguments or outputs:
        output = output_place
    elif by_result:
        output = ("result", "")
    elif not kind.results:
        output = output_place
    return AbiGuess(
        entry=name,
        arguments=arguments,
        results=tuple(kind.results),
        input_pointer=("export", inputs[0]) if inputs else where,
        output_pointer=output,
    )


def _scalar_calls(
    functions: dict[str, FunctionType],
) -> tuple[tuple[CallGuess, ...], tuple[str, ...]]:
    calls: list[CallGuess] = []
    left_out: list[str] = []
    for name, kind in functions.items():
        types = {*kind.parameters, *kind.results}
        if not name or not name.isprintable():
            left_out.append(f"{name!r}: its name has characters that a manifest cannot hold")
        elif not kind.results:
            left_out.append(f"{name!r}: {kind} gives no result")
        elif "f32" in types and types <= _SCALARS | {"f32"}:
            left_out.append(f"{name!r}: {kind} passes an f32, whose NaN bits bindings change")
        elif not types <= _SCALARS:
            left_out.append(f"{name!r}: {kind} has types that are no plain numbers")
        elif len(kind.parameters) > MAX_PARAMETERS:
            left_out.append(f"{name!r}: has more than {MAX_PARAMETERS} parameters")
        elif len(calls) == MAX_CALLS:
            left_out.append(f"{name!r}: beyond the first {MAX_CALLS}")
        else:
            calls.append(CallGuess(name, tuple(kind.parameters), tuple(kind.results)))
    return tuple(calls), tuple(left_out)
