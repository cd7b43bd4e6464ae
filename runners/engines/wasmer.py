"""
Wasmer 1.1.0 (core 2.1.1) from its PyPI wheels: Cranelift, Singlepass and LLVM.

Offers no meter, no interruption and no memory limit: an endless loop ends with the process.
"""

import ctypes
import glob
import hashlib
import importlib
import importlib.util
import os
import re
import struct

import wasmer
from engine import Engine as Base
from engine import Instance as BaseInstance
from stop import (
    EXHAUSTED_STACK,
    REJECTED_ENTRY,
    REJECTED_INSTANTIATE,
    TRAP_INDIRECT_CALL_TO_NULL,
    TRAP_INDIRECT_CALL_TYPE_MISMATCH,
    TRAP_INTEGER_DIVIDE_BY_ZERO,
    TRAP_INTEGER_OVERFLOW,
    TRAP_INVALID_CONVERSION_TO_INTEGER,
    TRAP_MEMORY_OUT_OF_BOUNDS,
    TRAP_TABLE_OUT_OF_BOUNDS,
    TRAP_UNKNOWN,
    TRAP_UNREACHABLE,
    Refused,
    Stop,
)
from wasmer import engine as wasmer_engine

PREFIX = "RuntimeError: "
TRAPS = {
    "unreachable": TRAP_UNREACHABLE,
    "out of bounds memory access": TRAP_MEMORY_OUT_OF_BOUNDS,
    "integer divide by zero": TRAP_INTEGER_DIVIDE_BY_ZERO,
    "integer overflow": TRAP_INTEGER_OVERFLOW,
    "invalid conversion to integer": TRAP_INVALID_CONVERSION_TO_INTEGER,
    "uninitialized element": TRAP_INDIRECT_CALL_TO_NULL,
    "undefined element: out of bounds table access": TRAP_TABLE_OUT_OF_BOUNDS,
    "out of bounds table access": TRAP_TABLE_OUT_OF_BOUNDS,
    "indirect call type mismatch": TRAP_INDIRECT_CALL_TYPE_MISMATCH,
    "call stack exhausted": EXHAUSTED_STACK,
}
"""First line of a trap's text -> status; the lines below it are the guest's backtrace."""

UNSUPPORTED = (
    "unsupported",
    "not supported",
    "not enabled",
    "not yet implemented",
    "unimplemented",
    "returns multiple values",
)
"""Phrases of compile errors that speak of a missing feature, not of an invalid module."""

COMPILERS = ("cranelift", "llvm", "singlepass")
F64 = struct.Struct("<d")
F32 = struct.Struct("<f")
U64 = struct.Struct("<Q")
U32 = struct.Struct("<I")


def first_line(error):
    """
    What an exception says, without the guest's backtrace.
    """
    lines = str(error).splitlines()
    return lines[0].strip() if lines else ""


def stop_of(error):
    """
    The Stop that a trap's RuntimeError stands for.
    """
    text = first_line(error)
    if text.startswith(PREFIX):
        text = text[len(PREFIX) :]
    return Stop(TRAPS.get(text, TRAP_UNKNOWN), text)


# ---------------------------------------------------------------------------------- loading


def prepare_llvm():
    """
    Load the libtinfo that the LLVM wheel brings, under the name its version table asks for.

    The wheel renamed the library but not the entry that names it, on which newer loaders kill the
    process; a copy whose own name is the old one, loaded first, satisfies that entry.
    """
    spec = importlib.util.find_spec("wasmer_compiler_llvm")
    folder = os.path.dirname(os.path.dirname(spec.origin))
    found = glob.glob(os.path.join(folder, "wasmer_compiler_llvm.libs", "libtinfo-*.so.5"))
    if len(found) != 1:
        raise Refused("compile", "failed", "the LLVM wheel does not hold one libtinfo")
    name = os.path.basename(found[0]).encode("ascii")
    with open(found[0], "rb") as library:
        data = library.read()
    if name not in data:
        raise Refused("compile", "failed", "the LLVM wheel's libtinfo is not the renamed one")
    wanted = b"libtinfo.so.5"
    data = data.replace(name, wanted.ljust(len(name), b"\0"))
    descriptor = os.memfd_create("libtinfo.so.5")
    with os.fdopen(descriptor, "wb") as copy:
        copy.write(data)
        copy.flush()
        ctypes.CDLL("/proc/self/fd/%d" % descriptor)
    ctypes.CDLL(wanted.decode("ascii"))


def compiler_class(name):
    """
    The compiler's class; its package is imported when it is first asked for.
    """
    if name not in COMPILERS:
        raise Refused("compile", "unsupported", "there is no compiler %r" % (name,))
    if name == "llvm":
        prepare_llvm()
    return importlib.import_module("wasmer_compiler_" + name).Compiler


def libraries():
    """
    The shared objects that are the engine, sorted.
    """
    site = os.path.dirname(os.path.dirname(wasmer.__file__))
    found = glob.glob(os.path.join(site, "wasmer", "wasmer.*.so"))
    found += glob.glob(os.path.join(site, "wasmer_compiler_*", "wasmer_compiler_*.so"))
    return sorted(found)


class Engine(Base):
    """
    The wheels of one Wasmer version.
    """

    name = "wasmer"
    capabilities = (
        "hosts",
        "hosts:grow",
        "level:state",
        "proposal:mutable-global",
        "proposal:sign-extension",
        "proposal:saturating-conversion",
        "proposal:bulk-memory",
        "proposal:multi-value",
        "proposal:reference-types",
        "proposal:simd",
    )
    """Of all three compilers together; the catalogue says which one has what."""

    def __init__(self):
        self.stores = {}

    def identity(self):
        """
        Versions, and the digest of all four shared objects.
        """
        from importlib.metadata import version

        digest = hashlib.sha256()
        core = ""
        for path in libraries():
            with open(path, "rb") as library:
                data = library.read()
            digest.update(data)
            if not core:
                found = re.search(rb"/wasmer-vm-([0-9]+\.[0-9]+\.[0-9]+)/", data)
                core = "wasmer@" + found.group(1).decode("ascii") if found else ""
        return {
            "package_version": version("wasmer"),
            "core_version": core,
            "library_sha256": digest.hexdigest(),
        }

    def store(self, compiler):
        """
        The store of a compiler.
        """
        if compiler not in self.stores:
            kind = compiler_class(compiler)
            self.stores[compiler] = wasmer.Store(wasmer_engine.Universal(kind))
        return self.stores[compiler]

    def load(self, wasm, settings, cpu, memory_pages, imports, metered):
        """
        Compile; this engine has no settings, meter or ceiling of memory.
        """
        unknown = sorted(set(settings) - {"compiler"})
        if unknown or cpu != "native" or metered:
            text = "wasmer has no %s" % (unknown[0] if unknown else "meter or other CPU",)
            raise Refused("compile", "unsupported", text)
        if bytes(wasm[:4]) != b"\0asm":
            raise Refused("compile", "invalid", "not a binary module; text is taken by no worker")
        compiler = settings.get("compiler") or "singlepass"
        store = self.store(compiler)
        try:
            compiled = wasmer.Module(store, bytes(wasm))
            return store, compiler, compiled, given_to(store, compiler, imports)
        except BaseException as error:  # a compiler's panic is not an Exception
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            raise Refused("compile", compile_rule(error), first_line(error))

    def open(self, module, fuel, pooled):
        """
        Instantiate.
        """
        store, compiler, compiled, given = module
        try:
            return Instance(store, compiler, wasmer.Instance(compiled, given[0]))
        except RuntimeError as error:
            stop = stop_of(error)
            if stop.status == TRAP_UNKNOWN:
                stop.status = REJECTED_INSTANTIATE
            raise stop


def compile_rule(error):
    """
    Rule of PROTOCOL.md for what compiling raised.
    """
    if not isinstance(error, RuntimeError):
        return "failed"
    text = str(error).lower()
    if any(word in text for word in UNSUPPORTED):
        return "unsupported"
    if "limit" in text or "too large" in text or "too many" in text:
        return "limit"
    return "invalid" if text.startswith("validation error") else "failed"


# ------------------------------------------------------------------------------- instances

NAMES = {int(getattr(wasmer.Type, kind.upper())): kind for kind in ("i32", "i64", "f32", "f64")}


def signed(width):
    """
    Unsigned bits -> the signed integer that the binding takes.
    """
    top, span = 1 << (width - 1), 1 << width
    mask = span - 1

    def convert(bits):
        bits &= mask
        return bits - span if bits & top else bits

    return convert


TO_PYTHON = {
    "i32": signed(32),
    "i64": signed(64),
    "f32": lambda bits: F32.unpack(U32.pack(bits & 0xFFFFFFFF))[0],
    "f64": lambda bits: F64.unpack(U64.pack(bits))[0],
}
TO_BITS = {
    "i32": lambda value: value & 0xFFFFFFFF,
    "i64": lambda value: value & 0xFFFFFFFFFFFFFFFF,
    "f32": lambda value: U32.unpack(F32.pack(value))[0],
    "f64": lambda value: U64.unpack(F64.pack(value))[0],
}


class Instance(BaseInstance):
    """
    One instance and the exports of it that were asked for.
    """

    def __init__(self, store, compiler, instance):
        self.store = store
        self.compiler = compiler
        self.instance = instance
        self.exports = instance.exports
        self.memories = {}
        self.shims = []

    def export(self, name, kind):
        """
        An export of a class, or Stop.
        """
        try:
            found = getattr(self.exports, name)
        except LookupError:
            found = None
        if not isinstance(found, kind):
            raise Stop(REJECTED_ENTRY, "no export %s of kind %s" % (name, kind.__name__))
        return found

    def bind(self, name, parameters, results):
        """
        See `engine.Instance.bind`.
        """
        function = self.export(name, wasmer.Function)
        kind = function.type
        actual = (types_of(kind.params), types_of(kind.results))
        if actual != (tuple(parameters), tuple(results)):
            raise Stop(REJECTED_ENTRY, "%s has type %s -> %s" % ((name,) + actual))
        if ("f32" in parameters or "f32" in results) and can_shim(self.compiler, parameters):
            function = self.as_integers(function, parameters, results)
            parameters = tuple(INTEGER.get(kind, kind) for kind in parameters)
            results = tuple(INTEGER.get(kind, kind) for kind in results)
        arguments = [0] * len(parameters)
        outcome = [0] * len(results)
        if parameters or results:
            invoke = invoke_with(function, arguments, outcome, parameters, results)
        else:
            invoke = invoke_alone(function)
        return invoke, arguments, outcome

    def as_integers(self, function, parameters, results):
        """
        The function behind a shim that takes and gives floats as integers of their bits.

        The binding converts an f32 to a double and back, which quiets signalling NaNs.
        """
        imports = wasmer.ImportObject()
        imports.register("m", {"f": function})
        module = shim_module(self.store, self.compiler, shim(parameters, results))
        instance = wasmer.Instance(module, imports)
        self.shims.append((instance, imports))
        return instance.exports.f

    def memory(self, name):
        """
        A view of linear memory as it lies now.
        """
        if name not in self.memories:
            self.memories[name] = self.export(name, wasmer.Memory)
        return whole(self.memories[name])

    def grow(self, name, pages):
        """
        See `engine.Instance.grow`.
        """
        memory = self.export(name, wasmer.Memory)
        before = memory.size
        try:
            memory.grow(pages)
        except RuntimeError:
            return -1
        return before

    def global_bits(self, name):
        """
        Bits of an exported global, a NaN of f32 through a shim as in `as_integers`.
        """
        found = self.export(name, wasmer.Global)
        match = GLOBAL.search(str(found.type))
        kind = match.group(1).lower()
        if kind not in TO_BITS:
            raise Stop(REJECTED_ENTRY, "global %s is of type %s" % (name, kind))
        value = found.value
        if kind != "f32" or value == value:
            return TO_BITS[kind](value)
        imports = wasmer.ImportObject()
        imports.register("m", {"f": found})
        code = global_shim(match.group(2) == "true")
        module = shim_module(self.store, self.compiler, code)
        return TO_BITS["i32"](wasmer.Instance(module, imports).exports.f())

    def close(self):
        """
        Let go of everything.
        """
        self.memories = {}
        self.shims = []
        self.exports = self.instance = None


def can_shim(compiler, parameters):
    """
    Whether a call from another instance passes these parameters in the right order.

    Singlepass exchanges them when an integer follows a float: such a function is called directly,
    and a signalling f32 is quieted on its way.
    """
    kinds = "".join(kind[0] for kind in parameters)
    return compiler != "singlepass" or "fi" not in kinds


def given_to(store, compiler, imports):
    """
    The functions that a module's instances share, behind shims where they take or give f32.

    Returns an import object, None for no imports, and what must live as long as it.
    """
    if not imports:
        return None, ()
    modules = {}
    shims = []
    for function in imports:
        parameters, results = function.parameters, function.results
        shimmed = "f32" in parameters + results and can_shim(compiler, parameters)
        if shimmed:
            parameters = tuple(INTEGER.get(kind, kind) for kind in parameters)
            results = tuple(INTEGER.get(kind, kind) for kind in results)
        given = host_function(store, function.answer, parameters, results)
        if shimmed:
            imported = wasmer.ImportObject()
            imported.register("m", {"f": given})
            code = shim(function.parameters, function.results, flipped=True)
            instance = wasmer.Instance(wasmer.Module(store, code), imported)
            shims.append((instance, imported))
            given = instance.exports.f
        modules.setdefault(function.module, {})[function.name] = given
    everything = wasmer.ImportObject()
    for name, functions in modules.items():
        everything.register(name, functions)
    return everything, shims


def host_function(store, answer, parameters, results):
    """
    A function of the binding; what it raises ends the call and is raised again from there.
    """
    inward = [TO_BITS[kind] for kind in parameters]
    outward = [TO_PYTHON[kind] for kind in results]

    def called(*values):
        bits = answer([convert(value) for convert, value in zip(inward, values)])
        found = [convert(word) for convert, word in zip(outward, bits)]
        return found[0] if len(found) == 1 else (tuple(found) or None)

    kinds = [
        [getattr(wasmer.Type, kind.upper()) for kind in side] for side in (parameters, results)
    ]
    return wasmer.Function(store, called, wasmer.FunctionType(*kinds))


def whole(memory):
    """
    A view of all of a memory.

    The binding keeps a buffer's length in 32 bits: that of 65,536 pages, 4 GiB, reads as 0.
    """
    buffer = memory.buffer
    view = memoryview(buffer)
    if len(view) or not memory.size:
        return view
    address = ctypes.addressof((ctypes.c_ubyte * 0).from_buffer(buffer))
    return memoryview((ctypes.c_ubyte * memory.data_size).from_address(address)).cast("B")


def types_of(types):
    """
    The core types of a list of the binding's types.
    """
    return tuple(NAMES.get(int(kind), "other") for kind in types)


def invoke_alone(function):
    """
    A call without arguments and results: the thin path.
    """

    def invoke():
        try:
            function()
        except RuntimeError as error:
            raise stop_of(error)

    return invoke


def invoke_with(function, arguments, outcome, parameters, results):
    """
    A call with arguments or results.
    """
    inward = [TO_PYTHON[kind] for kind in parameters]
    outward = [TO_BITS[kind] for kind in results]
    single = outward[0] if len(outward) == 1 else None

    def invoke():
        try:
            values = function(*[convert(bits) for convert, bits in zip(inward, arguments)])
        except RuntimeError as error:
            raise stop_of(error)
        if single is not None:
            outcome[0] = single(values)
        elif outward:
            outcome[:] = [convert(value) for convert, value in zip(outward, values)]

    return invoke


# ------------------------------------------------------------------------------------ shims

GLOBAL = re.compile(r"type: ([A-Za-z0-9]+), mutable: (true|false)")
INTEGER = {"f32": "i32", "f64": "i64"}
CODES = {"i32": 0x7F, "i64": 0x7E, "f32": 0x7D, "f64": 0x7C}
INWARD = {"f32": b"\xbe", "f64": b"\xbf"}
"""f32.reinterpret_i32 and f64.reinterpret_i64."""
OUTWARD = {"f32": b"\xbc", "f64": b"\xbd"}
"""i32.reinterpret_f32 and i64.reinterpret_f64."""


def uleb(number):
    """
    An unsigned LEB128 number.
    """
    out = bytearray()
    while True:
        byte, number = number & 0x7F, number >> 7
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def section(number, body):
    """
    A section of a module.
    """
    return bytes([number]) + uleb(len(body)) + body


def function_type(parameters, results):
    """
    A function type.
    """
    out = b"\x60"
    for types in (parameters, results):
        out += uleb(len(types)) + bytes(CODES[kind] for kind in types)
    return out


def shim(parameters, results, flipped=False):
    """
    A module that imports function m.f and exports f, the same with floats as integers.

    `flipped`: m.f is the one with integers, and f the one of these types.
    """
    integers = [[INTEGER.get(kind, kind) for kind in side] for side in (parameters, results)]
    imported, exported = (parameters, results), integers
    inward, outward = INWARD, OUTWARD
    if flipped:
        imported, exported = exported, imported
        inward, outward = outward, inward
    code = uleb(len(results)) + b"".join(b"\x01" + bytes([CODES[kind]]) for kind in imported[1])
    for index, kind in enumerate(parameters):
        code += b"\x20" + uleb(index) + inward.get(kind, b"")
    code += b"\x10\x00"
    base = len(parameters)
    for index in reversed(range(len(results))):
        code += b"\x21" + uleb(base + index)
    for index, kind in enumerate(results):
        code += b"\x20" + uleb(base + index) + outward.get(kind, b"")
    code += b"\x0b"
    return (
        b"\0asm\1\0\0\0"
        + section(1, b"\x02" + function_type(*imported) + function_type(*exported))
        + section(2, b"\x01\x01m\x01f\x00\x00")
        + section(3, b"\x01\x01")
        + section(7, b"\x01\x01f\x00\x01")
        + section(10, b"\x01" + uleb(len(code)) + code)
    )


SHIMS = {}


def shim_module(store, compiler, code):
    """
    A shim, compiled once in this process: every fresh instance needs the same few.
    """
    if (compiler, code) not in SHIMS:
        SHIMS[compiler, code] = wasmer.Module(store, code)
    return SHIMS[compiler, code]


def global_shim(mutable):
    """
    A module that imports the f32 global m.f and exports f, which gives its bits.
    """
    code = b"\x00\x23\x00\xbc\x0b"
    return (
        b"\0asm\1\0\0\0"
        + section(1, b"\x01" + function_type((), ("i32",)))
        + section(2, b"\x01\x01m\x01f\x03\x7d" + (b"\x01" if mutable else b"\x00"))
        + section(3, b"\x01\x00")
        + section(7, b"\x01\x01f\x00\x00")
        + section(10, b"\x01" + uleb(len(code)) + code)
    )
