"""
pywasm, an interpreter in Python: the layout of 1.0 and that of 1.1 and later.

Its traps are Python exceptions that mostly do not tell their kind; from 1.1 on a trap leaves its
stacks dirty, so they are cleared. It validates nothing. Its assertions do the parsing, which is why
the loop refuses to run under `python -O`. An instance empties the segments of the module that it
was made of, so each one is made of a module parsed for it alone.
"""

import glob
import hashlib
import io
import os

import pywasm
from engine import Engine as Base
from engine import Instance as BaseInstance
from stop import (
    EXHAUSTED_MEMORY,
    EXHAUSTED_STACK,
    REJECTED_ENTRY,
    REJECTED_INSTANTIATE,
    TRAP_INDIRECT_CALL_TO_NULL,
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

EARLY = not hasattr(pywasm, "core")
"""Whether this is 1.0, whose modules are called otherwise and whose traps have texts."""

FRAMES = 1024
"""Depth at which 1.1 and later assert that the call stack is exhausted."""

TEXTS = {
    "pywasm: unreachable": TRAP_UNREACHABLE,
    "pywasm: call stack exhausted": EXHAUSTED_STACK,
    "pywasm: undefined element": TRAP_TABLE_OUT_OF_BOUNDS,
    "pywasm: uninitialized element": TRAP_INDIRECT_CALL_TO_NULL,
    "pywasm: out of bounds memory access": TRAP_MEMORY_OUT_OF_BOUNDS,
    "pywasm: out of memory limit": EXHAUSTED_MEMORY,
    "pywasm: integer divide by zero": TRAP_INTEGER_DIVIDE_BY_ZERO,
    "pywasm: integer overflow": TRAP_INTEGER_OVERFLOW,
    "pywasm: invalid conversion to integer": TRAP_INVALID_CONVERSION_TO_INTEGER,
}
"""Texts of 1.0."""

TYPES = (
    (RecursionError, EXHAUSTED_STACK),
    (MemoryError, EXHAUSTED_MEMORY),
    (ZeroDivisionError, TRAP_INTEGER_DIVIDE_BY_ZERO),
    (OverflowError, TRAP_INTEGER_OVERFLOW),
    (ValueError, TRAP_INVALID_CONVERSION_TO_INTEGER),
    (IndexError, TRAP_TABLE_OUT_OF_BOUNDS),
)
"""Types that the interpreter lets through: what Python raises where WebAssembly traps."""

CAPABILITIES = (
    ((1, 1, 0), ["proposal:multi-value"]),
    ((1, 1, 1), ["proposal:sign-extension", "proposal:saturating-conversion"]),
    ((1, 2, 0), ["proposal:bulk-memory", "proposal:reference-types"]),
    ((2, 0, 0), ["hosts", "hosts:grow"]),
    ((2, 2, 0), ["proposal:simd"]),
)
"""What a version can do since when, as tried."""

CODES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}
NUMBERS = {"i32": 0x7F, "i64": 0x7E, "f32": 0x7D, "f64": 0x7C}
WIDTHS = {"i32": 4, "i64": 8, "f32": 4, "f64": 8}
FUNCTION, TABLE, MEMORY, GLOBAL = range(4)


def stop_of(error, frames):
    """
    The Stop that an exception stands for; `frames` is the depth of the interpreter's own stack.
    """
    if isinstance(error, Stop):
        return error
    text = "%s: %s" % (type(error).__name__, error)
    if str(error) in TEXTS:
        return Stop(TEXTS[str(error)], text)
    for kind, status in TYPES:
        if isinstance(error, kind):
            return Stop(status, text)
    if frames >= FRAMES and raised_in(error) == "evaluate_call":
        return Stop(EXHAUSTED_STACK, "more than %d frames" % (FRAMES - 1))
    return Stop(TRAP_UNKNOWN, text)


def raised_in(error):
    """
    Name of the function that raised.
    """
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_name


class Engine(Base):
    """
    One version of pywasm.
    """

    name = "pywasm"

    def __init__(self):
        from importlib.metadata import version

        self.version = version("pywasm")
        numbers = tuple(int(part) for part in self.version.split(".")[:3])
        capabilities = ["level:state", "memory-limit", "proposal:mutable-global"]
        for since, names in CAPABILITIES:
            if numbers >= since:
                capabilities += names
        self.capabilities = tuple(capabilities)

    def identity(self):
        """
        Version and digest of the package's files, in the order of their names.
        """
        digest = hashlib.sha256()
        folder = os.path.dirname(pywasm.__file__)
        for path in sorted(glob.glob(os.path.join(folder, "*.py"))):
            with open(path, "rb") as source:
                digest.update(source.read())
        return {
            "package_version": self.version,
            "core_version": "pywasm@" + self.version,
            "library_sha256": digest.hexdigest(),
        }

    def load(self, wasm, settings, cpu, memory_pages, imports, metered):
        """
        Parse.
        """
        if set(settings) - {"compiler"} or cpu != "native" or metered:
            raise Refused("compile", "unsupported", "pywasm has no settings, meter or other CPU")
        source = bytes(wasm), memory_pages
        try:
            parse(*source)
        except RecursionError as error:
            raise Refused("compile", "limit", "nested too deeply: %s" % (error,))
        except Exception as error:  # whatever a parser that checks little stumbles over
            said = str(error)
            unknown = isinstance(error, KeyError) or said.startswith("0x") or "unsupp" in said
            text = "%s: %s" % (type(error).__name__, error)
            raise Refused("compile", "unsupported" if unknown else "invalid", text)
        return source, imports

    def open(self, module, fuel, pooled):
        """
        Instantiate.
        """
        source, functions = module
        parsed, imports, fits = parse(*source)
        if not fits:
            raise Stop(EXHAUSTED_MEMORY, "the memory is larger than its ceiling")
        if imports and "hosts" not in self.capabilities:
            raise Stop(REJECTED_INSTANTIATE, "%d imports and no host" % imports)
        return EarlyInstance(parsed) if EARLY else CoreInstance(parsed, functions)


def parse(wasm, memory_pages):
    """
    Parse a module: (module, number of imports, whether its memories fit below their ceiling).
    """
    reader = io.BytesIO(wasm)
    if EARLY:
        parsed = pywasm.binary.Module.from_reader(reader)
        imports, memories = parsed.import_list, [item.type for item in parsed.memory_list]
    else:
        parsed = pywasm.ModuleDesc.from_reader(reader)
        imports, memories = parsed.imps, parsed.mems
    fits = True
    for memory in memories:
        limits = memory.limits
        fits = fits and limits.n <= memory_pages
        limits.m = min(limits.m or memory_pages, memory_pages)
    return parsed, len(imports), fits


def no_code(machine, arguments):
    """
    Stands for a host function, which is called by its address instead.
    """
    raise Stop(TRAP_UNKNOWN, "a host function was called by its code")


class Frames(list):
    """
    A stack of frames as deep as later versions allow; up to 1.2.0 nothing limits it.
    """

    def append(self, frame):
        """
        Push; raises Stop instead of going deeper.
        """
        if len(self) >= FRAMES:
            raise Stop(EXHAUSTED_STACK, "more than %d frames" % (FRAMES - 1))
        list.append(self, frame)

    def __getitem__(self, index):
        """
        An item, or a stack of the same kind.
        """
        found = list.__getitem__(self, index)
        return Frames(found) if isinstance(index, slice) else found


class Instance(BaseInstance):
    """
    What both layouts share: exports by name, and values as the bytes of their bits.
    """

    def __init__(self):
        self.exports = {}
        self.host_functions = {}

    def export(self, name, kind):
        """
        Address of an export of a kind, or Stop.
        """
        found = self.exports.get(name)
        if found is None or found[0] != kind:
            words = ("function", "table", "memory", "global")
            raise Stop(REJECTED_ENTRY, "no exported %s %s" % (words[kind], name))
        return found[1]

    def bind(self, name, parameters, results):
        """
        See `engine.Instance.bind`.
        """
        address = self.export(name, FUNCTION)
        actual = self.type_of(address)
        if actual != (tuple(parameters), tuple(results)):
            raise Stop(REJECTED_ENTRY, "%s has type %s -> %s" % ((name,) + actual))
        makers = [self.maker(kind) for kind in parameters]
        widths = [WIDTHS[kind] for kind in results]
        arguments = [0] * len(parameters)
        outcome = [0] * len(results)
        call = self.call

        def invoke():
            values = call(address, [make(bits) for make, bits in zip(makers, arguments)])
            for index, width in enumerate(widths):
                outcome[index] = int.from_bytes(values[index].data[:width], "little")

        return invoke, arguments, outcome


class CoreInstance(Instance):
    """
    An instance of 1.1 and later.
    """

    def __init__(self, parsed, functions):
        Instance.__init__(self)
        self.runtime = pywasm.Runtime()
        self.machine = self.runtime.machine
        self.machine.stack.frame = Frames()
        given = self.externs(parsed, functions)
        try:
            instance = self.machine.instance(parsed, given)
        except Exception as error:  # a trap in a segment or in the start function
            raise stop_of(error, len(self.machine.stack.frame))
        for item in instance.exps:
            self.exports[item.name] = (item.data.kind, item.data.data)

    def externs(self, parsed, functions):
        """
        The module's imports, in order; raises Stop for one that is not a function of numbers.
        """
        if not parsed.imps:
            return []
        known = {}
        for function in functions:
            kind = pywasm.core.FuncType(
                *[
                    [pywasm.ValType(NUMBERS[name]) for name in types]
                    for types in (function.parameters, function.results)
                ]
            )
            extern = self.runtime.allocate_func_host(kind, no_code)
            known[function.module, function.name] = kind, extern
            self.host_functions[extern.data] = (
                function.answer,
                [WIDTHS[name] for name in function.parameters],
                [self.maker(name) for name in function.results],
            )
        given = []
        for item in parsed.imps:
            kind, extern = known.get((item.module, item.name), (None, None))
            if kind is None or item.kind != FUNCTION or kind != parsed.type[item.desc]:
                text = "no host gives the import %s.%s" % (item.module, item.name)
                raise Stop(REJECTED_INSTANTIATE, text)
            given.append(extern)
        self.inner_call = self.machine.evaluate_call
        self.machine.evaluate_call = self.evaluate_call
        return given

    def evaluate_call(self, address):
        """
        A call within the guest; one of an import takes and gives bits, not Python's numbers.
        """
        found = self.host_functions.get(address)
        if found is None:
            return self.inner_call(address)
        answer, widths, makers = found
        values = self.machine.stack.value
        first = len(values) - len(widths)
        given = values[first:]
        del values[first:]
        bits = answer(
            [int.from_bytes(item.data[:width], "little") for item, width in zip(given, widths)]
        )
        self.machine.stack.value.extend([make(word) for make, word in zip(makers, bits)])

    def type_of(self, address):
        """
        Parameters and results of a function.
        """
        kind = self.machine.store.func[address].type
        return tuple(
            tuple(CODES.get(code.data, "other") for code in side) for side in (kind.args, kind.rets)
        )

    def maker(self, kind):
        """
        Bits -> the interpreter's value.
        """
        value_class = pywasm.ValInst
        value_type = pywasm.ValType(NUMBERS[kind])
        size = getattr(value_class, "blen", 8)
        mask = (1 << (8 * WIDTHS[kind])) - 1

        def make(bits):
            return value_class(value_type, bytearray((bits & mask).to_bytes(size, "little")))

        return make

    def call(self, address, values):
        """
        Call on stacks of its own: those of a call that trapped would spoil the next one, and those
        of a call that waits for its host are not empty.
        """
        machine, stack = self.machine, self.machine.stack
        outer = stack.frame, stack.label, stack.value
        stack.frame, stack.label, stack.value = Frames(), [], []
        try:
            return machine.invocate(address, values)
        except Exception as error:
            raise stop_of(error, len(stack.frame))
        finally:
            stack.frame, stack.label, stack.value = outer

    def memory(self, name):
        """
        Linear memory itself: a view would keep it from growing.
        """
        return self.machine.store.mems[self.export(name, MEMORY)].data

    def grow(self, name, pages):
        """
        See `engine.Instance.grow`.
        """
        memory = self.machine.store.mems[self.export(name, MEMORY)]
        before = memory.size
        if before + pages > (memory.type.limits.m or 65536):
            return -1
        memory.grow(pages)
        return before

    def global_bits(self, name):
        """
        Bits of an exported global.
        """
        value = self.machine.store.glob[self.export(name, GLOBAL)].data
        width = WIDTHS.get(CODES.get(value.type.data), 8)
        return int.from_bytes(value.data[:width], "little")


class EarlyInstance(Instance):
    """
    An instance of 1.0.
    """

    def __init__(self, parsed):
        Instance.__init__(self)
        try:
            self.machine = pywasm.Runtime(parsed, {}).machine
        except Exception as error:
            raise stop_of(error, 0)
        kinds = {
            "FunctionAddress": FUNCTION,
            "TableAddress": TABLE,
            "MemoryAddress": MEMORY,
            "GlobalAddress": GLOBAL,
        }
        for item in self.machine.module.export_list:
            self.exports[item.name] = (kinds[type(item.value).__name__], item.value)

    def type_of(self, address):
        """
        Parameters and results of a function.
        """
        kind = self.machine.store.function_list[address].type
        return tuple(
            tuple(CODES.get(int(code), "other") for code in side.data)
            for side in (kind.args, kind.rets)
        )

    def maker(self, kind):
        """
        Bits -> the interpreter's value.
        """
        value_type = pywasm.binary.ValueType(NUMBERS[kind])
        raw = pywasm.execution.Value.raw
        mask = (1 << (8 * WIDTHS[kind])) - 1

        def make(bits):
            return raw(value_type, bytearray((bits & mask).to_bytes(8, "little")))

        return make

    def call(self, address, values):
        """
        Call; each call has stacks of its own.
        """
        try:
            return self.machine.invocate(address, values).data
        except Exception as error:
            raise stop_of(error, 0)

    def memory(self, name):
        """
        Linear memory itself: a view would keep it from growing.
        """
        return self.machine.store.memory_list[self.export(name, MEMORY)].data

    def global_bits(self, name):
        """
        Bits of an exported global.
        """
        value = self.machine.store.global_list[self.export(name, GLOBAL)].value
        width = WIDTHS.get(CODES.get(int(value.type)), 8)
        return int.from_bytes(value.data[:width], "little")
