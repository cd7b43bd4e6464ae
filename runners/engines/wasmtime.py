"""
wasmtime from its PyPI wheel: Cranelift, Winch and Pulley; wheels 0.24 and later.

Recent wheels are driven through the C API with preallocated buffers; older ones, whose C API had
other shapes, through the public Python API.
"""

import ctypes
import glob
import hashlib
import os
import re
import struct

import wasmtime
from engine import Engine as Base
from engine import Instance as BaseInstance
from stop import (
    EXHAUSTED_FUEL,
    EXHAUSTED_MEMORY,
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
from wasmtime import _ffi as ffi

STACK_BYTES = 512 * 1024
PAGE = 65536
UNLIMITED_FUEL = 1 << 62
RAW_SINCE = 45
"""First wheel whose unchecked calls were tried with this file."""

TEXTS = (
    ("call stack exhausted", EXHAUSTED_STACK),
    ("stack overflow", EXHAUSTED_STACK),
    ("out of fuel", EXHAUSTED_FUEL),
    ("fuel consumed", EXHAUSTED_FUEL),
    ("out of bounds memory access", TRAP_MEMORY_OUT_OF_BOUNDS),
    ("undefined element: out of bounds", TRAP_TABLE_OUT_OF_BOUNDS),
    ("out of bounds table access", TRAP_TABLE_OUT_OF_BOUNDS),
    ("uninitialized element", TRAP_INDIRECT_CALL_TO_NULL),
    ("indirect call type mismatch", TRAP_INDIRECT_CALL_TYPE_MISMATCH),
    ("integer divide by zero", TRAP_INTEGER_DIVIDE_BY_ZERO),
    ("integer overflow", TRAP_INTEGER_OVERFLOW),
    ("invalid conversion to integer", TRAP_INVALID_CONVERSION_TO_INTEGER),
    ("unreachable", TRAP_UNREACHABLE),
)
PINNED_ON = (
    "wasm_bulk_memory",
    "wasm_multi_value",
    "wasm_reference_types",
    "wasm_simd",
)
PINNED_OFF = (
    "wasm_threads",
    "wasm_tail_call",
    "wasm_multi_memory",
    "wasm_memory64",
    "wasm_relaxed_simd",
    "wasm_exceptions",
    "wasm_function_references",
    "wasm_gc",
    "wasm_wide_arithmetic",
    "wasm_custom_page_sizes",
    "wasm_stack_switching",
    "wasm_module_linking",
    "debug_info",
)


def status_of(text):
    """
    Status byte for a trap's text, which names the trap in a fixed phrase.
    """
    lowered = text.lower()
    for phrase, status in TEXTS:
        if phrase in lowered:
            return status
    return TRAP_UNKNOWN


def version():
    """
    The wheel's version.
    """
    from importlib.metadata import version as installed

    return installed("wasmtime")


def numbers(text):
    """
    Leading numbers of a version, as a tuple to compare.
    """
    return tuple(int(part) for part in re.findall(r"[0-9]+", text)[:3])


def library_path():
    """
    The shared library inside the wheel.
    """
    pattern = os.path.join(os.path.dirname(wasmtime.__file__), "linux-*", "_libwasmtime.so")
    return sorted(glob.glob(pattern))[0]


class Engine(Base):
    """
    One wasmtime wheel.
    """

    name = "wasmtime"

    def __init__(self):
        self.version = version()
        self.numbers = numbers(self.version)
        self.raw = self.numbers[0] >= RAW_SINCE
        capabilities = [
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
        ]
        if self.raw:
            capabilities += ["level:full", "fuel", "cpu:baseline", "memory-limit", "nan:canonical"]
        self.capabilities = tuple(capabilities)
        self.engines = {}

    def identity(self):
        """
        Versions and digest of the shared library.
        """
        digest = hashlib.sha256()
        with open(library_path(), "rb") as library:
            data = library.read()
        digest.update(data)
        found = re.search(rb"\nversion: ([0-9]+\.[0-9]+\.[0-9]+)", data)
        return {
            "package_version": self.version,
            "core_version": "wasmtime@" + found.group(1).decode("ascii") if found else "",
            "library_sha256": digest.hexdigest(),
        }

    def meter(self):
        """
        Fuel, by the wheel's version.
        """
        return "fuel:wasmtime@" + self.version

    def _config(self, settings, cpu, metered):
        """
        A configuration with every feature pinned; unknown switches of old wheels are left out.
        """
        config = wasmtime.Config()
        compiler = settings.get("compiler", "cranelift")
        known = dir(type(config))
        # First of all: in the wheels 0.36 to 0.38 it forgets what reference types need.
        if compiler == "winch":
            ffi.wasmtime_config_strategy_set(config.ptr(), 2)
        elif compiler == "pulley":
            config.target = "pulley64"
        else:
            config.strategy = "cranelift"
        for name in PINNED_ON + PINNED_OFF:
            if name in known:
                if compiler == "winch" and name == "wasm_reference_types":
                    continue
                setattr(config, name, name in PINNED_ON)
        if "max_wasm_stack" in known:
            config.max_wasm_stack = STACK_BYTES
        if "parallel_compilation" in known:
            config.parallel_compilation = False
        if cpu == "baseline" and compiler != "pulley":
            config.target = "x86_64-unknown-linux-gnu"
        if settings.get("nan") == "canonical":
            config.cranelift_nan_canonicalization = True
        if "opt" in settings:
            levels = {"0": "none", "1": "speed_and_size", "2": "speed"}
            config.cranelift_opt_level = levels[settings["opt"]]
        if metered:
            config.consume_fuel = True
        return config

    def load(self, wasm, settings, cpu, memory_pages, imports, metered):
        """
        Compile; the engine of one configuration is kept.
        """
        if not wasm.startswith(b"\0asm"):
            # Module() would assemble text: a worker takes modules alone.
            raise Refused("compile", "invalid", "not a WebAssembly module")
        key = (tuple(sorted(settings.items())), cpu, metered)
        if key not in self.engines:
            self.engines[key] = wasmtime.Engine(self._config(settings, cpu, metered))
        engine = self.engines[key]
        try:
            module = wasmtime.Module(engine, wasm)
        except wasmtime.WasmtimeError as error:
            raise Refused("compile", compile_rule(str(error)), str(error).strip()[:400])
        return Compiled(engine, module, memory_pages, imports, metered)

    def open(self, module, fuel, pooled):
        """
        Instantiate in a store of its own.
        """
        kind = RawInstance if self.raw else PublicInstance
        return kind(module, fuel)


def compile_rule(text):
    """
    Rule of PROTOCOL.md for a compile error; the text itself is only shown.
    """
    lowered = text.lower()
    if "not supported" in lowered or "unsupported" in lowered or "not enabled" in lowered:
        return "unsupported"
    if "limit" in lowered or "too large" in lowered or "too many" in lowered:
        return "limit"
    return "invalid"


class Compiled(object):
    """
    A compiled module and how it is to be instantiated.
    """

    def __init__(self, engine, module, memory_pages, imports, metered):
        self.engine = engine
        self.module = module
        self.imports = imports
        self.callbacks = []
        self.memory_bytes = memory_pages * PAGE
        self.metered = metered
        self.types = dict((export.name, export.type) for export in module.exports)
        self.checked = {}
        self.linked = None

    def check(self, name, parameters, results):
        """
        Name of a function export as bytes, once its type was found right; raises Stop.

        The type is looked at once per module: an unchecked call does not.
        """
        key = (name, parameters, results)
        if key not in self.checked:
            kind = self.types.get(name)
            if not isinstance(kind, wasmtime.FuncType):
                raise Stop(REJECTED_ENTRY, "no exported function %s" % name)
            actual = (tuple(map(str, kind.params)), tuple(map(str, kind.results)))
            if actual != (parameters, results):
                text = "%s has type %s -> %s, called as %s -> %s"
                raise Stop(REJECTED_ENTRY, text % ((name,) + actual + (parameters, results)))
            self.checked[key] = name.encode("utf-8")
        return self.checked[key]

    def check_kind(self, name, kind):
        """
        Name of a memory or global export as bytes; raises Stop if there is none.
        """
        key = (name, kind)
        if key not in self.checked:
            if not isinstance(self.types.get(name), kind):
                raise Stop(REJECTED_ENTRY, "no export %s of type %s" % (name, kind.__name__))
            self.checked[key] = name.encode("utf-8")
        return self.checked[key]

    def pre(self):
        """
        The module with its imports resolved, which is the same for all of its instances.
        """
        if self.linked is None:
            linker = wasmtime.Linker(self.engine)
            for function in self.imports:
                callback = raw_callback(function)
                self.callbacks.append(callback)
                define(linker, function, callback)
            self.linked = linker.instantiate_pre(self.module)
        return self.linked.ptr()


def stop_of_error(error):
    """
    What an error while instantiating means.
    """
    text = str(error)
    status = status_of(text)
    if status == TRAP_UNKNOWN:
        memory = "memory" in text and ("limit" in text or "exceed" in text or "allocat" in text)
        status = EXHAUSTED_MEMORY if memory else REJECTED_INSTANTIATE
    return Stop(status, text.strip().splitlines()[0][:200] if text.strip() else "")


# ------------------------------------------------------------------------ through the C API

RAW_FUNCTIONS = (
    ("store_new", ctypes.c_void_p),
    ("store_context", ctypes.c_void_p),
    ("store_limiter", None),
    ("store_delete", None),
    ("context_set_fuel", ctypes.c_void_p),
    ("context_get_fuel", ctypes.c_void_p),
    ("instance_pre_instantiate", ctypes.c_void_p),
    ("instance_export_get", ctypes.c_bool),
    ("func_call_unchecked", ctypes.c_void_p),
    ("linker_define_func_unchecked", ctypes.c_void_p),
    ("trap_new", ctypes.c_void_p),
    ("memory_data", ctypes.c_void_p),
    ("memory_data_size", ctypes.c_size_t),
    ("memory_grow", ctypes.c_void_p),
    ("error_delete", None),
    ("global_get", None),
)
"""Without argument types, which ctypes would check in every call; pointers come as ctypes objects."""


class CApi(object):
    """
    The functions of the C API that are called per instance or per case, and what they take.
    """

    def __init__(self):
        library = ctypes.CDLL(library_path())
        for name, result in RAW_FUNCTIONS:
            function = library["wasmtime_" + name]
            function.restype = result
            setattr(self, name, function)
        self.item_at = ffi.wasmtime_extern_t.of.offset
        self.no_limit = ctypes.c_int64(-1)
        try:
            self.view = ctypes.pythonapi.PyMemoryView_FromMemory
            self.view.restype = ctypes.py_object
            self.view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
        except AttributeError:
            # PyPy has no such function; a view of a ctypes array serves as well, slower.
            self.view = view_of_array


WRITABLE = 0x200
"""PyBUF_WRITE."""


def view_of_array(address, size, flags):
    """
    A writable view of foreign memory.
    """
    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")


C = CApi() if numbers(version())[0] >= RAW_SINCE else None

CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
)
"""`wasmtime_func_unchecked_callback_t`, with plain numbers for pointers."""
HOST_ENDED = b"the host ended the call"


def raw_callback(function):
    """
    A function of the C API that answers an import: cells are 16 bytes apart, results from the first.
    """
    narrow = [kind in ("i32", "f32") for kind in function.parameters]
    cells_type = ctypes.c_uint64 * (2 * max(len(narrow), len(function.results), 1))
    answer = function.answer

    def called(env, caller, raw, count):
        try:
            cells = cells_type.from_address(raw)
            given = [
                cells[2 * index] & 0xFFFFFFFF if is_narrow else cells[2 * index]
                for index, is_narrow in enumerate(narrow)
            ]
            for index, bits in enumerate(answer(given)):
                cells[2 * index] = bits
            return 0
        except BaseException:  # kept by `answer`; nothing may leave through foreign frames
            return C.trap_new(HOST_ENDED, ctypes.c_size_t(len(HOST_ENDED)))

    return CALLBACK(called)


def define(linker, function, callback):
    """
    Give a linker an import.
    """
    sides = [
        [getattr(wasmtime.ValType, kind)() for kind in types]
        for types in (function.parameters, function.results)
    ]
    module, name = function.module.encode("utf-8"), function.name.encode("utf-8")
    kind = wasmtime.FuncType(*sides)
    error = C.linker_define_func_unchecked(
        linker.ptr(), module, ctypes.c_size_t(len(module)), name, ctypes.c_size_t(len(name)),
        kind.ptr(), callback, None, None,
    )  # fmt: skip
    if error:
        failed(error, None)


class RawInstance(BaseInstance):
    """
    An instance driven through the C API.
    """

    store = None

    def __init__(self, compiled, fuel):
        self.compiled = compiled
        self.items = {}
        try:
            pre = compiled.pre()
        except wasmtime.WasmtimeError as error:
            raise stop_of_error(error)
        self.store = ctypes.c_void_p(C.store_new(compiled.engine.ptr(), None, None))
        self.context = ctypes.c_void_p(C.store_context(self.store))
        memory, free = ctypes.c_int64(compiled.memory_bytes), C.no_limit
        C.store_limiter(self.store, memory, free, free, free, free)
        if compiled.metered:
            self.budget = UNLIMITED_FUEL if fuel is None else fuel
            self.tank = ctypes.c_uint64(self.budget)
            self.refuel()
        trap = ctypes.c_void_p()
        self.by_instance = ctypes.byref(ffi.wasmtime_instance_t())
        error = C.instance_pre_instantiate(pre, self.context, self.by_instance, ctypes.byref(trap))
        if error or trap:
            self.close()
            failed(error, trap)

    def export(self, raw):
        """
        Reference to an export whose kind is known.
        """
        found = self.items.get(raw)
        if found is None:
            item = ffi.wasmtime_extern_t()
            size = ctypes.c_size_t(len(raw))
            C.instance_export_get(self.context, self.by_instance, raw, size, ctypes.byref(item))
            found = self.items[raw] = ctypes.byref(item, C.item_at)
        return found

    def bind(self, name, parameters, results):
        """
        See `engine.Instance.bind`. Arguments and results share cells, 16 bytes apart.
        """
        function = self.export(self.compiled.check(name, parameters, results))
        size = max(len(parameters), len(results), 1)
        raw = (ffi.wasmtime_val_raw_t * size)()
        cells = memoryview(raw).cast("B").cast("Q")[::2]
        trap = ctypes.c_void_p()
        call, context, count = C.func_call_unchecked, self.context, ctypes.c_size_t(size)
        by_trap = ctypes.byref(trap)

        def invoke():
            error = call(context, function, raw, count, by_trap)
            if error or trap:
                failed(error, trap)

        return invoke, cells, cells

    def memory(self, name):
        """
        A view of linear memory as it lies now.
        """
        reference = self.export(self.compiled.check_kind(name, wasmtime.MemoryType))
        size = C.memory_data_size(self.context, reference)
        if not size:
            return memoryview(b"")
        return C.view(C.memory_data(self.context, reference), size, WRITABLE)

    def grow(self, name, pages):
        """
        See `engine.Instance.grow`.
        """
        reference = self.export(self.compiled.check_kind(name, wasmtime.MemoryType))
        before = ctypes.c_uint64()
        error = C.memory_grow(self.context, reference, ctypes.c_uint64(pages), ctypes.byref(before))
        if error:
            C.error_delete(ctypes.c_void_p(error))
            return -1
        return before.value

    def global_bits(self, name):
        """
        Bits of an exported global.
        """
        reference = self.export(self.compiled.check_kind(name, wasmtime.GlobalType))
        value = ffi.wasmtime_val_t()
        C.global_get(self.context, reference, ctypes.byref(value))
        width = 4 if value.kind in (0, 2) else 8
        raw = ctypes.string_at(ctypes.addressof(value.of), width)
        return int.from_bytes(raw, "little")

    def refuel(self):
        """
        Full tank.
        """
        C.context_set_fuel(self.context, self.tank)

    def fuel_used(self):
        """
        Fuel since `refuel`.
        """
        left = ctypes.c_uint64()
        C.context_get_fuel(self.context, ctypes.byref(left))
        return self.budget - left.value

    def close(self):
        """
        Delete the store, and with it everything in it.
        """
        if self.store is not None:
            store, self.store = self.store, None
            self.items = {}
            C.store_delete(store)

    def __del__(self):
        self.close()


def failed(error, trap):
    """
    Turn the error or trap of a call into Stop, and free it.
    """
    if error:
        pointer = ctypes.cast(error, ctypes.POINTER(ffi.wasmtime_error_t))
        raise stop_of_error(wasmtime.WasmtimeError._from_ptr(pointer))
    caught = wasmtime.Trap._from_ptr(ctypes.cast(trap, ctypes.POINTER(ffi.wasm_trap_t)))
    trap.value = None
    text = str(caught)
    first = [line for line in text.splitlines() if "wasm trap" in line] or [text[:200]]
    raise Stop(status_of(text), first[0].strip())


# ------------------------------------------------------------------- through the public API


def to_python(bits, kind):
    """
    The Python value that stands for the bits.
    """
    if kind == "f64":
        return struct.unpack("<d", struct.pack("<Q", bits))[0]
    if kind == "f32":
        return struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))[0]
    width = 32 if kind == "i32" else 64
    bits &= (1 << width) - 1
    return bits - (1 << width) if bits >> (width - 1) else bits


def to_bits(value, kind):
    """
    The bits of a Python value.
    """
    if kind == "f64":
        return struct.unpack("<Q", struct.pack("<d", value))[0]
    if kind == "f32":
        return struct.unpack("<I", struct.pack("<f", value))[0]
    return value & (0xFFFFFFFF if kind == "i32" else 0xFFFFFFFFFFFFFFFF)


def type_of(item):
    """
    Parameters and results of an import, None for one that is not a function.
    """
    if not isinstance(item.type, wasmtime.FuncType):
        return None
    return tuple(map(str, item.type.params)), tuple(map(str, item.type.results))


def public_callback(function):
    """
    A Python function that answers an import; what it raises ends the call and is raised again.
    """
    parameters, results, answer = function.parameters, function.results, function.answer

    def called(*values):
        bits = answer([to_bits(value, kind) for value, kind in zip(values, parameters)])
        found = [to_python(word, kind) for word, kind in zip(bits, results)]
        return found[0] if len(found) == 1 else (found or None)

    return called


class PublicInstance(BaseInstance):
    """
    An instance driven through the public API; before wheel 0.28 it took no store argument.
    """

    def __init__(self, compiled, fuel):
        self.store = wasmtime.Store(compiled.engine)
        self.early = numbers(version())[:2] < (0, 28)
        try:
            given = self.functions(compiled)
            self.instance = wasmtime.Instance(self.store, compiled.module, given)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise stop_of_error(error)
        self.exports = self.instance.exports if self.early else self.instance.exports(self.store)
        self.context = () if self.early else (self.store,)

    def functions(self, compiled):
        """
        The module's imports, in order; raises Stop for one that is not a function of numbers.
        """
        known = dict(((item.module, item.name), item) for item in compiled.imports)
        given = []
        for item in compiled.module.imports:
            function = known.get((item.module, item.name))
            if function is None or type_of(item) != (function.parameters, function.results):
                text = "no host gives the import %s.%s" % (item.module, item.name)
                raise Stop(REJECTED_INSTANTIATE, text)
            given.append(wasmtime.Func(self.store, item.type, public_callback(function)))
        return given

    def export(self, name, kind):
        """
        An export of a class, or Stop.
        """
        try:
            found = self.exports[name]
        except KeyError:
            found = None
        if not isinstance(found, kind):
            raise Stop(REJECTED_ENTRY, "no export %s of kind %s" % (name, kind.__name__))
        return found

    def bind(self, name, parameters, results):
        """
        See `engine.Instance.bind`.
        """
        function = self.export(name, wasmtime.Func)
        kind = function.type if self.early else function.type(self.store)
        actual = (tuple(map(str, kind.params)), tuple(map(str, kind.results)))
        if actual != (tuple(parameters), tuple(results)):
            raise Stop(REJECTED_ENTRY, "%s has type %s -> %s" % ((name,) + actual))
        arguments = [0] * len(parameters)
        outcome = [0] * len(results)
        context = self.context

        def invoke():
            try:
                values = function(*context, *map(to_python, arguments, parameters))
            except (wasmtime.Trap, wasmtime.WasmtimeError) as caught:
                text = str(caught)
                raise Stop(status_of(text), text.strip().splitlines()[0][:200])
            if len(results) == 1:
                outcome[0] = to_bits(values, results[0])
            elif results:
                outcome[:] = map(to_bits, values, results)

        return invoke, arguments, outcome

    def memory(self, name):
        """
        A view of linear memory as it lies now.
        """
        memory = self.export(name, wasmtime.Memory)
        size = memory.data_len if self.early else memory.data_len(self.store)
        if not size:
            return memoryview(b"")
        base = memory.data_ptr if self.early else memory.data_ptr(self.store)
        address = ctypes.addressof(base.contents)
        return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")

    def grow(self, name, pages):
        """
        See `engine.Instance.grow`.
        """
        memory = self.export(name, wasmtime.Memory)
        before = memory.size if self.early else memory.size(self.store)
        try:
            grown = memory.grow(*self.context, pages)
        except wasmtime.WasmtimeError:
            return -1
        # Early wheels tell by a bool, later ones by the pages before.
        return -1 if grown is False else before

    def global_bits(self, name):
        """
        Bits of an exported global.
        """
        exported = self.export(name, wasmtime.Global)
        kind = str((exported.type if self.early else exported.type(self.store)).content)
        # Not by `value`: it gives a wrapper in place of a zero, and quiets NaNs of f32.
        raw = ffi.wasm_val_t() if self.early else ffi.wasmtime_val_t()
        if self.early:
            ffi.wasm_global_get(exported._ptr, ctypes.byref(raw))
        else:
            context = self.store._context
            context = context() if callable(context) else context
            ffi.wasmtime_global_get(context, ctypes.byref(exported._global), ctypes.byref(raw))
        width = 4 if kind in ("i32", "f32") else 8
        return int.from_bytes(ctypes.string_at(ctypes.byref(raw.of), width), "little")

    def close(self):
        """
        Let go of everything.
        """
        self.exports = self.instance = None
        self.store = None
