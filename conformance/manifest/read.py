"""
Reads `model.toml` into a Manifest, or says in one sentence what is wrong with it and where.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, cast, get_args, get_type_hints

from conformance.manifest.bounds_part import read_bounds, read_chain_part
from conformance.manifest.domains import BadBoundError, bound_bits, place_of, widest
from conformance.manifest.host_part import read_host
from conformance.manifest.records import (
    Domain,
    DType,
    Judge,
    Manifest,
    RunPart,
    ScalarCall,
    Semantics,
    Tensor,
)
from conformance.manifest.section import Section, open_document, parse_document
from runners.bits import WIDTH_BYTES, BadBitsError, ValueType, format_bits, parse_bits
from runners.instances import BadPolicyError, cases_per_instance
from runners.records import (
    Argument,
    AtAddress,
    ByAllocator,
    ByExport,
    ByResult,
    Constant,
    InputPointer,
    Made,
    OutputPointer,
    Place,
)

SCHEMA: Final = 1
MAX_ELEMENTS: Final = 1 << 24
MAX_DIMENSIONS: Final = 8
MAX_PAGES: Final = 65_536
MAX_DEADLINE_MS: Final = 3_600_000
MAX_FUEL: Final = (1 << 63) - 1
MAX_CALLS: Final = 4_096
MAX_PARAMETERS: Final = 100

DTYPES: Final[tuple[str, ...]] = get_args(DType)
CORE_TYPES: Final = ("i32", "i64", "f64")
SECTIONS: Final = (
    "schema", "module", "abi", "input", "output", "call", "calls", "limits", "host", "state",
    "reset", "semantics", "judge", "bounds", "chain",
)  # fmt: skip

_F32_SCALAR: Final = (
    "an f32 cannot be passed or returned directly, because language bindings quieten its "
    "signalling NaNs: carry it as an i32 (`carried = true`) or through memory"
)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def read_manifest(path: Path) -> Manifest:
    """
    Read the manifest file *path*; raises BadManifestError.
    """
    return _manifest(open_document(path), str(path.parent))


def parse_manifest(data: bytes, name: str = "model.toml", folder: str = ".") -> Manifest:
    """
    Read a manifest from the bytes of a file called *name*; raises BadManifestError.
    """
    return _manifest(parse_document(name, data), folder)


def _manifest(top: Section, folder: str) -> Manifest:
    top.only(SECTIONS)
    if top.required("schema") != SCHEMA or top.table["schema"] is True:
        raise top.refusal("schema", f"`schema` must be {SCHEMA}, the only one there is")
    if top.section("state").table:
        raise top.refusal("state", "[state] is reserved: leave it empty or leave it out")
    module = top.section("module")
    module.only(("name", "file", "description", "sha256"))
    calls = tuple(_scalar_call(section) for section in top.sections("call"))
    run = _called_run(top, folder, calls) if "call" in top.table else _entry_run(top, folder)
    files = top.section("calls" if run.calls else "output")
    name = module.text("name")
    if not name.strip():
        raise module.refusal("name", "`name` must not be empty")
    return Manifest(
        name=name,
        path=folder,
        module_file=module.file("file", "model.wasm"),
        description=module.text("description", ""),
        module_sha256=_sha256(module),
        rows=top.section("input").file("rows", ""),
        expected=files.file("expected", ""),
        edges=files.file("edges", "") if run.calls else "",
        run=run,
        judge=_judge(top.section("judge")),
        semantics=_semantics(top.section("semantics")) if "semantics" in top.table else None,
        bounds=read_bounds(top, folder),
        chain=read_chain_part(top, folder),
    )


def _sha256(module: Section) -> str:
    digest = module.text("sha256", "")
    if digest and _SHA256.match(digest) is None:
        raise module.refusal("sha256", "`sha256` must be 64 lower-case hexadecimal digits")
    return digest


# -------------------------------------------------------------------------------- run part


def _entry_run(top: Section, folder: str) -> RunPart:
    """
    The run part of a module with one entry and buffers.
    """
    abi = top.section("abi")
    abi.only(("kind", "entry", "arguments", "results", "initialize", "instances", "names"))
    if "calls" in top.table:
        raise top.refusal("calls", "[calls] goes with [[call]] tables, and there are none")
    if "entry" not in abi.table:
        sentence = "name the export to call: `entry` in [abi], or [[call]] tables for scalars"
        raise top.refusal("abi", sentence)
    results = tuple(
        _result_type(abi, ("results", place), item)
        for place, item in enumerate(abi.items("results", ()))
    )
    if "input" not in top.table:
        raise top.refusal("input", "[input] is missing: it says what the entry reads")
    tensor = _input(top.section("input"))
    output = _output(top.section("output"), results) if "output" in top.table else None
    if output is None and not results:
        sentence = "the entry gives nothing to compare: add [output], or `results` in [abi]"
        raise top.refusal("abi", sentence)
    arguments = tuple(
        _argument(abi, ("arguments", place), item, has_output=output is not None)
        for place, item in enumerate(abi.items("arguments", ()))
    )
    if len(arguments) > MAX_PARAMETERS:
        raise abi.refusal("arguments", f"`arguments` must be at most {MAX_PARAMETERS}")
    return _run(
        top, folder, entry=abi.text("entry"), arguments=arguments, results=results,
        input_tensor=tensor, output=output,
    )  # fmt: skip


def _called_run(top: Section, folder: str, calls: tuple[ScalarCall, ...]) -> RunPart:
    """
    The run part of a module whose exports are called with scalars.
    """
    if not 0 < len(calls) <= MAX_CALLS:
        raise top.refusal("call", f"there must be from 1 to {MAX_CALLS} [[call]] tables")
    top.section("abi").only(("kind", "initialize", "instances", "names"))
    top.section("calls").only(("expected", "edges"))
    for name in ("input", "output"):
        if name in top.table:
            sentence = f"[{name}] describes a buffer and cannot stand beside [[call]]"
            raise top.refusal(name, sentence)
    seen: set[str] = set()
    for place, call in enumerate(calls):
        if call.entry in seen:
            raise top.refusal(("call", place), f'the entry "{call.entry}" has two [[call]] tables')
        seen.add(call.entry)
    return _run(top, folder, calls=calls)


def _run(
    top: Section,
    folder: str,
    *,
    entry: str | None = None,
    arguments: tuple[Argument, ...] = (),
    results: tuple[ValueType, ...] = (),
    input_tensor: Tensor | None = None,
    output: Tensor | None = None,
    calls: tuple[ScalarCall, ...] = (),
) -> RunPart:
    abi, limits, reset = top.section("abi"), top.section("limits"), top.section("reset")
    limits.only(("pages", "deadline_ms", "compile_deadline_ms", "fuel"))
    reset.only(("export",))
    host = read_host(top, folder)
    return RunPart(
        abi=host.abi,
        entry=entry,
        arguments=arguments,
        entry_results=results,
        input=input_tensor,
        output=output,
        calls=calls,
        initialize=abi.texts("initialize", ()),
        memory_pages=limits.integer("pages", 1, MAX_PAGES, 512),
        deadline_ms=limits.integer("deadline_ms", 1, MAX_DEADLINE_MS, 10_000),
        compile_deadline_ms=limits.integer("compile_deadline_ms", 1, MAX_DEADLINE_MS, 60_000),
        fuel=limits.integer("fuel", 1, MAX_FUEL) if "fuel" in limits.table else None,
        imports=host.imports,
        names=host.names,
        script=host.script,
        scripted=host.scripted,
        seed=host.seed,
        policy=_policy(abi),
        reset=reset.text("export") if "reset" in top.table else None,
    )


def _policy(abi: Section) -> str:
    """
    The instance policy: `fresh` unless the manifest says `reuse(N)`.
    """
    policy = abi.text("instances", "fresh")
    try:
        cases_per_instance(policy)
    except BadPolicyError as error:
        raise abi.refusal("instances", str(error)) from None
    return policy


def _core_type(section: Section, keys: tuple[str | int, ...], value: object) -> ValueType:
    if value == "f32":
        raise section.refusal(keys, _F32_SCALAR)
    return cast("ValueType", section.one_of(keys, value, CORE_TYPES))


def _result_type(abi: Section, keys: tuple[str | int, ...], value: object) -> ValueType:
    """
    The type of an entry's result. A reactor's may be an f32: its author cannot be asked for more.
    """
    if value == "f32" and abi.table.get("kind", "plain") != "plain":
        return "f32"
    return _core_type(abi, keys, value)


def _made(abi: Section, keys: tuple[str | int, ...], table: Mapping[str, object]) -> Made:
    """
    `{ made = EXPORT, with = [BITS, ...] }`.
    """
    section = Section(abi.document, abi.lines, (*abi.path, *keys), table)
    section.only(("made", "with"))
    given = tuple(
        section.plain_text(("with", place), item)
        for place, item in enumerate(section.items("with", ()))
    )
    for place, text in enumerate(given):
        try:
            kind, _ = parse_bits(text)
        except BadBitsError as error:
            raise section.refusal(("with", place), str(error)) from None
        if kind not in CORE_TYPES:
            raise section.refusal(("with", place), f"a {kind} cannot be given to an export")
    return Made(section.text("made"), given)


def _argument(
    abi: Section, keys: tuple[str | int, ...], value: object, *, has_output: bool
) -> Argument:
    if isinstance(value, dict):
        return _made(abi, keys, value)
    text = abi.plain_text(keys, value)
    if text == "input":
        return InputPointer()
    if text == "output":
        if not has_output:
            raise abi.refusal(keys, '"output" as an argument needs a buffer: add [output]')
        return OutputPointer()
    try:
        found, _ = parse_bits(text)
    except BadBitsError:
        found = ""
    if found == "f32":
        raise abi.refusal(keys, _F32_SCALAR)
    if found not in CORE_TYPES:
        sentence = (
            'an argument is "input", "output", bits such as "i32:0000000a", or'
            " { made = EXPORT, with = [BITS] }"
        )
        raise abi.refusal(keys, f"{sentence}, not {text[:60]!r}")
    return Constant(text)


# ----------------------------------------------------------------------- tensors and scalars


def _input(section: Section) -> Tensor:
    section.only(("dtype", "shape", "pointer", "low", "high", "special", "rows"))
    dtype, shape = _dtype(section), _shape(section)
    place = _place(section, dtype, shape)
    if isinstance(place, ByResult):
        raise section.refusal("pointer", "only an [output] can lie where the entry's result says")
    return Tensor(dtype=dtype, shape=shape, place=place, domain=_domain(section, dtype))


def _output(section: Section, results: tuple[ValueType, ...]) -> Tensor:
    section.only(("dtype", "shape", "pointer", "expected"))
    dtype, shape = _dtype(section), _shape(section)
    place = _place(section, dtype, shape)
    if isinstance(place, ByResult) and results[:1] != ("i32",):
        sentence = '`pointer = { result = true }` needs `results = ["i32"]` in [abi]'
        raise section.refusal("pointer", sentence)
    return Tensor(dtype=dtype, shape=shape, place=place)


def _scalar_call(section: Section) -> ScalarCall:
    section.only(("entry", "parameters", "results", "carried", "domains"))
    carried = section.boolean("carried", default=False)
    parameters, results = (
        tuple(
            _scalar_type(section, (key, place), item, carried=carried)
            for place, item in enumerate(section.items(key))
        )
        for key in ("parameters", "results")
    )
    if len(parameters) > MAX_PARAMETERS:
        raise section.refusal("parameters", f"there may be at most {MAX_PARAMETERS} parameters")
    if not results:
        raise section.refusal("results", "a [[call]] without results gives nothing to compare")
    domains = section.sections("domains")
    if domains and len(domains) != len(parameters):
        sentence = f"`domains` must have one table per parameter: {len(parameters)}"
        raise section.refusal("domains", f"{sentence}, not {len(domains)}")
    for domain in domains:
        domain.only(("low", "high", "special"))
    return ScalarCall(
        entry=section.text("entry"),
        parameters=parameters,
        results=results,
        carried=carried,
        domains=tuple(_domain(d, t) for d, t in zip(domains, parameters, strict=False)),
    )


def _scalar_type(
    section: Section, keys: tuple[str | int, ...], value: object, *, carried: bool
) -> DType:
    if value == "f32" and not carried:
        raise section.refusal(keys, _F32_SCALAR)
    return cast("DType", section.one_of(keys, value, DTYPES))


def _dtype(section: Section) -> DType:
    return cast("DType", section.choice("dtype", DTYPES))


def _shape(section: Section) -> tuple[int, ...]:
    items = section.items("shape")
    if not 0 < len(items) <= MAX_DIMENSIONS:
        raise section.refusal("shape", f"`shape` must have from 1 to {MAX_DIMENSIONS} dimensions")
    shape = tuple(
        section.whole(("shape", place), item, 1, MAX_ELEMENTS) for place, item in enumerate(items)
    )
    if math.prod(shape) > MAX_ELEMENTS:
        raise section.refusal("shape", f"`shape` must have at most {MAX_ELEMENTS} elements")
    return shape


def _place(section: Section, dtype: DType, shape: tuple[int, ...]) -> Place:
    section.required("pointer")
    pointer = section.section("pointer")
    pointer.only(("export", "allocator", "address", "result"))
    if len(pointer.table) != 1:
        sentence = (
            "`pointer` must say one thing: { export = NAME }, { allocator = NAME }, "
            "{ address = NUMBER } or { result = true }"
        )
        raise section.refusal("pointer", sentence)
    if "export" in pointer.table:
        return ByExport(pointer.text("export"))
    if "allocator" in pointer.table:
        return ByAllocator(pointer.text("allocator"))
    if "address" in pointer.table:
        size = math.prod(shape) * WIDTH_BYTES[dtype]
        return AtAddress(pointer.integer("address", 0, (MAX_PAGES << 16) - size))
    if not pointer.boolean("result", default=True):
        raise pointer.refusal("result", "`result` can only be true")
    return ByResult()


def _domain(section: Section, dtype: DType) -> Domain:
    """
    The domain of a table; without bounds, all finite values.
    """
    special = section.boolean("special", default=False)
    if special and dtype not in ("f32", "f64"):
        raise section.refusal("special", f"`special` has no meaning for {dtype}")
    if "low" not in section.table and "high" not in section.table:
        return widest(dtype, special=special)
    bits: list[int] = []
    for key in ("low", "high"):
        value = section.required(key)
        try:
            bits.append(bound_bits(dtype, value))
        except BadBoundError as error:
            raise section.wrong((key,), str(error), value) from None
    zero_low, zero_high = (place_of(dtype, b) for b in bits)
    if zero_low > zero_high and not _both_zero(dtype, bits):
        raise section.refusal("high", "`high` must not be less than `low`")
    return Domain(
        low=format_bits(dtype, bits[0]), high=format_bits(dtype, bits[1]), special=special
    )


def _both_zero(dtype: DType, bits: list[int]) -> bool:
    sign = 1 << (8 * WIDTH_BYTES[dtype] - 1)
    return dtype in ("f32", "f64") and all(b in (0, sign) for b in bits)


# ------------------------------------------------------------------------------- judge part


def _judge(section: Section) -> Judge:
    section.only(("nan", "tolerance_ulp", "accuracy_floor", "decision"))
    hints = get_type_hints(Judge)
    decision = section.choice("decision", get_args(hints["decision"]), "none")
    floor = section.table.get("accuracy_floor")
    if floor is not None:
        if isinstance(floor, bool) or not isinstance(floor, int | float):
            raise section.wrong(("accuracy_floor",), "a number", floor)
        most = math.inf if decision == "rmse" else 1
        if not 0 <= floor <= most or floor == math.inf:
            wanted = "a finite error of 0 or more" if decision == "rmse" else "from 0 to 1"
            raise section.wrong(("accuracy_floor",), wanted, floor)
        if decision == "none":
            sentence = "`accuracy_floor` needs `decision`: how an output becomes a label"
            raise section.refusal("accuracy_floor", sentence)
    return Judge(
        nan=cast('Literal["exact"]', section.choice("nan", get_args(hints["nan"]), "exact")),
        tolerance_ulp=section.integer("tolerance_ulp", 0, 1 << 53, 0),
        accuracy_floor=None if floor is None else float(floor),
        decision=cast('Literal["none"]', decision),
    )


def _semantics(section: Section) -> Semantics:
    section.only(("class", "program", "weights", "functions"))
    classes = get_args(get_type_hints(Semantics)["function_class"])
    function_class = section.choice("class", classes)
    program = section.file("program", "")
    if function_class in ("program", "correctly-rounded") and not program:
        sentence = f'class "{function_class}" needs `program`, the file with the formula'
        raise section.refusal("class", sentence)
    functions = section.section("functions")
    return Semantics(
        function_class=cast('Literal["program"]', function_class),
        program=program,
        weights=section.file("weights", ""),
        functions=tuple((name, functions.text(name)) for name in sorted(functions.table)),
    )
