"""
wasm3 0.5.0 from its PyPI binding `pywasm3`: an interpreter in C, in this process.

The binding frees no instance, quiets a signalling f32 and forgets the start function, so the C API
that its library exports is called instead. That compiles all functions in `load`; left alone, wasm3
validates a function when it is first called. It checks no exports: the sections are read here.
"""

import ctypes
import hashlib
import os
import re

import wasm3
from engine import Engine as Base
from engine import Instance as BaseInstance
from stop import (
    EXHAUSTED_MEMORY,
    EXHAUSTED_STACK,
    REJECTED_COMPILE,
    REJECTED_ENTRY,
    REJECTED_INSTANTIATE,
    TRAP_INDIRECT_CALL_TYPE_MISMATCH,
    TRAP_INTEGER_DIVIDE_BY_ZERO,
    TRAP_INTEGER_OVERFLOW,
    TRAP_INVALID_CONVERSION_TO_INTEGER,
    TRAP_MEMORY_OUT_OF_BOUNDS,
    TRAP_UNDEFINED_ELEMENT,
    TRAP_UNKNOWN,
    TRAP_UNREACHABLE,
    Refused,
    Stop,
)

STACK_BYTES = 256 * 1024
SLOT_BYTES = 4
MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF
PREFIX = "[trap] "
TRAPS = (
    ("out of bounds memory access", TRAP_MEMORY_OUT_OF_BOUNDS),
    ("integer divide by zero", TRAP_INTEGER_DIVIDE_BY_ZERO),
    ("integer overflow", TRAP_INTEGER_OVERFLOW),
    ("invalid conversion to integer", TRAP_INVALID_CONVERSION_TO_INTEGER),
    ("indirect call type mismatch", TRAP_INDIRECT_CALL_TYPE_MISMATCH),
    ("undefined element", TRAP_UNDEFINED_ELEMENT),
    ("unreachable executed", TRAP_UNREACHABLE),
    ("stack overflow", EXHAUSTED_STACK),
)
UNSUPPORTED = ("no operation found", "restricted opcode", "unknown opcode", "not implemented")
"""Phrases of compile errors that speak of a missing feature, not of an invalid module."""


def stop_of(text):
    """
    The Stop that a result's text stands for; what is no trap was found while compiling.
    """
    if text.startswith(PREFIX):
        rest = text[len(PREFIX) :]
        for phrase, status in TRAPS:
            if rest.startswith(phrase):
                return Stop(status, rest)
        return Stop(TRAP_UNKNOWN, rest)
    if "segment out of bounds" in text or "segment underflow" in text:
        return Stop(TRAP_MEMORY_OUT_OF_BOUNDS, text)
    if "memory allocation failed" in text:
        return Stop(EXHAUSTED_MEMORY, text)
    return Stop(REJECTED_COMPILE, text)


def refused_of(text):
    """
    The refusal that a result's text stands for, while parsing or compiling.
    """
    unsupported = any(phrase in text for phrase in UNSUPPORTED)
    return Refused("compile", "unsupported" if unsupported else "invalid", text)


# ------------------------------------------------------------------------------------ C API

POINTER = ctypes.c_void_p
NUMBER = ctypes.c_uint32
TEXT = ctypes.c_char_p
SIGNATURES = {
    "m3_NewEnvironment": (POINTER, ()),
    "m3_NewRuntime": (POINTER, (POINTER, NUMBER, POINTER)),
    "m3_FreeRuntime": (None, (POINTER,)),
    "m3_ParseModule": (TEXT, (POINTER, POINTER, TEXT, NUMBER)),
    "m3_FreeModule": (None, (POINTER,)),
    "m3_LoadModule": (TEXT, (POINTER, POINTER)),
    "m3_CompileModule": (TEXT, (POINTER,)),
    "m3_RunStart": (TEXT, (POINTER,)),
    "m3_LinkRawFunction": (TEXT, (POINTER, TEXT, TEXT, TEXT, POINTER)),
    "m3_FindFunction": (TEXT, (POINTER, POINTER, TEXT)),
    "m3_GetArgCount": (NUMBER, (POINTER,)),
    "m3_GetRetCount": (NUMBER, (POINTER,)),
    "m3_GetArgType": (NUMBER, (POINTER, NUMBER)),
    "m3_GetRetType": (NUMBER, (POINTER, NUMBER)),
    "m3_Call": (TEXT, (POINTER, NUMBER, POINTER)),
    "m3_GetResults": (TEXT, (POINTER, NUMBER, POINTER)),
    "m3_GetMemory": (POINTER, (POINTER, POINTER, NUMBER)),
    "m3_FindGlobal": (POINTER, (POINTER, TEXT)),
    "m3_GetGlobal": (TEXT, (POINTER, POINTER)),
}
NAMES = {1: "i32", 2: "i64", 3: "f32", 4: "f64"}


class TaggedValue(ctypes.Structure):
    """
    `M3TaggedValue`: a type and the bits of a value.
    """

    _fields_ = [("type", NUMBER), ("bits", ctypes.c_uint64)]


CALLBACK = ctypes.PYFUNCTYPE(POINTER, POINTER, POINTER, POINTER, POINTER)
"""`M3RawCall`: runtime, import's context, stack, memory -> null or the text of a trap."""
LETTERS = {"i32": "i", "i64": "I", "f32": "f", "f64": "F"}
HOST_ENDED = ctypes.create_string_buffer(b"[trap] the host ended the call")
WAITING = []
"""Where the stack is free, above each host call that is being answered."""
MARK = 0x7EA5E17AB1E
"""User data of a runtime, by which its fields are found."""


class Runtime(ctypes.Structure):
    """
    The fields of `M3Runtime` around its user data; those before are of no interest.
    """

    _fields_ = [
        ("stack", POINTER),
        ("unused", NUMBER),
        ("stack_slots", NUMBER),
        ("last_called", POINTER),
        ("user_data", POINTER),
    ]


def fields_of(runtime):
    """
    The fields of a runtime, found by its user data; raises Stop when they are not as they must be.
    """
    size = ctypes.CDLL(None).malloc_usable_size
    size.restype = ctypes.c_size_t
    size.argtypes = (POINTER,)
    raw = ctypes.string_at(runtime, size(runtime))
    first = raw.find(MARK.to_bytes(8, "little")) - Runtime.user_data.offset
    if first >= 0:
        fields = Runtime.from_address(runtime + first)
        if fields.stack_slots == STACK_BYTES // SLOT_BYTES:
            return fields
    raise Stop(REJECTED_INSTANTIATE, "the runtime's stack is not where this worker looks for it")


def called_above(fields, base, call):
    """
    Call with the runtime's stack beginning at `base`: a call begins where the stack does, and would
    overwrite what the one that waits for its host holds there.
    """
    stack, slots = fields.stack, fields.stack_slots
    base += -base % 8
    fields.stack = base
    fields.stack_slots = slots - (base - stack) // SLOT_BYTES
    try:
        call()
    finally:
        fields.stack, fields.stack_slots = stack, slots


def raw_function(function):
    """
    A function of the C API that answers an import: cells of 8 bytes, results before arguments.
    """
    given, taken = len(function.parameters), len(function.results)
    cells_type = ctypes.c_uint64 * max(given + taken, 1)
    narrow = [kind in ("i32", "f32") for kind in function.parameters]
    short = [kind in ("i32", "f32") for kind in function.results]
    ended = ctypes.addressof(HOST_ENDED)

    def called(runtime, context, stack, memory):
        WAITING.append(stack + 8 * (given + taken))
        try:
            cells = cells_type.from_address(stack)
            bits = [
                cells[taken + index] & MASK32 if is_narrow else cells[taken + index]
                for index, is_narrow in enumerate(narrow)
            ]
            for index, word in enumerate(function.answer(bits)):
                if short[index]:
                    ctypes.c_uint32.from_address(stack + 8 * index).value = word
                else:
                    cells[index] = word
            return 0
        except BaseException:  # kept by `answer`; nothing may leave through foreign frames
            return ended
        finally:
            WAITING.pop()

    return CALLBACK(called)


def c_api():
    """
    The library's functions, by name without their prefix.
    """
    library = ctypes.PyDLL(wasm3.__file__)
    found = {}
    for name, (result, parameters) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = parameters
        found[name[3:]] = function
    return found


def pointers_to(cells, count):
    """
    An array of the addresses of the first `count` 64-bit cells.
    """
    base = ctypes.addressof(cells)
    return (POINTER * max(count, 1))(*[base + 8 * index for index in range(count)])


# --------------------------------------------------------------------------------- sections


def uleb_at(data, at):
    """
    An unsigned LEB128 number: (number, position after it).
    """
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def sections_of(wasm):
    """
    List of (number, body).
    """
    found = []
    at = 8
    while at < len(wasm):
        number = wasm[at]
        size, at = uleb_at(wasm, at + 1)
        if at + size > len(wasm):
            raise IndexError("section %d ends beyond the module" % number)
        found.append((number, wasm[at : at + size]))
        at += size
    return found


def exports_of(body):
    """
    Export name -> kind (0 function, 1 table, 2 memory, 3 global).
    """
    count, at = uleb_at(body, 0)
    exports = {}
    for _ in range(count):
        size, at = uleb_at(body, at)
        name = body[at : at + size].decode("utf-8")
        exports[name] = body[at + size]
        _, at = uleb_at(body, at + size + 1)
    return exports


def imports_of(body):
    """
    List of (module, name) of imported functions, None for an import of another kind, which ends it.
    """
    count, at = uleb_at(body, 0)
    found = []
    for _ in range(count):
        names = []
        for _ in range(2):
            size, at = uleb_at(body, at)
            names.append(body[at : at + size].decode("utf-8"))
            at += size
        if body[at] != 0:
            return found + [None]
        found.append(tuple(names))
        _, at = uleb_at(body, at + 1)
    return found


class Parsed(object):
    """
    A module's bytes, and what its sections say.
    """

    def __init__(self, wasm, functions):
        bodies = dict(sections_of(wasm))
        self.exports = exports_of(bodies[7]) if 7 in bodies else {}
        self.imports = imports_of(bodies[2]) if 2 in bodies else []
        self.functions = functions
        known = set((function.module, function.name) for function in functions)
        self.missing = [names for names in self.imports if names not in known]
        self.callbacks = [raw_function(function) for function in functions]
        self.wasm = wasm


# ----------------------------------------------------------------------------------- engine


class Engine(Base):
    """
    The one version of wasm3 that has a binding on PyPI.
    """

    name = "wasm3"
    capabilities = (
        "hosts",
        "level:state",
        "proposal:mutable-global",
        "proposal:sign-extension",
        "proposal:saturating-conversion",
        "proposal:multi-value",
    )

    def __init__(self):
        # A trap prints the guest's backtrace: a megabyte when the stack overflows.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        self.api = c_api()
        self.environment = self.api["NewEnvironment"]()

    def identity(self):
        """
        Versions and digest of the extension module, which is the whole engine.
        """
        from importlib.metadata import version

        with open(wasm3.__file__, "rb") as library:
            digest = hashlib.sha256(library.read()).hexdigest()
        return {
            "package_version": version("pywasm3"),
            "core_version": "wasm3@" + re.sub("[^0-9.]", "", wasm3.M3_VERSION),
            "library_sha256": digest,
        }

    def load(self, wasm, settings, cpu, memory_pages, imports, metered):
        """
        Parse and compile all functions.
        """
        if set(settings) - {"compiler"} or cpu != "native" or metered:
            raise Refused("compile", "unsupported", "wasm3 has no settings, meter or other CPU")
        if bytes(wasm[:8]) != b"\0asm\1\0\0\0":
            raise Refused("compile", "invalid", "not a module of version 1")
        try:
            parsed = Parsed(bytes(wasm), imports)
        except (IndexError, UnicodeDecodeError) as error:
            raise Refused("compile", "invalid", "malformed section: %s" % (error,))
        module = self.parse(parsed)
        runtime = self.api["NewRuntime"](self.environment, STACK_BYTES, None)
        try:
            if self.api["LoadModule"](runtime, module):
                # Segments that do not fit: an outcome of instantiation, told by `open`.
                self.api["FreeModule"](module)
                return parsed
            if parsed.missing or self.link(module, parsed):
                # Told by `open`, too: without its imports a module cannot be compiled here.
                return parsed
            error = self.api["CompileModule"](module)
        finally:
            self.api["FreeRuntime"](runtime)
        if error:
            raise refused_of(error.decode("ascii"))
        return parsed

    def parse(self, parsed):
        """
        The module as wasm3 parses it, not loaded yet.
        """
        module = POINTER()
        error = self.api["ParseModule"](
            self.environment, ctypes.byref(module), parsed.wasm, len(parsed.wasm)
        )
        if error:
            raise refused_of(error.decode("ascii"))
        return module

    def link(self, module, parsed):
        """
        Give a loaded module its imports; returns the text of an error, or None.
        """
        for function, callback in zip(parsed.functions, parsed.callbacks):
            results, parameters = (
                "".join(LETTERS[kind] for kind in side)
                for side in (function.results, function.parameters)
            )
            error = self.api["LinkRawFunction"](
                module,
                function.module.encode("utf-8"),
                function.name.encode("utf-8"),
                ("%s(%s)" % (results or "v", parameters)).encode("ascii"),
                ctypes.cast(callback, POINTER),
            )
            if error:
                return error
        return None

    def open(self, module, fuel, pooled):
        """
        Instantiate, and run the start function.
        """
        if module.missing:
            name = ".".join(module.missing[0] or ("of another kind than a function",))
            raise Stop(REJECTED_INSTANTIATE, "no host gives the import %s" % name)
        loaded = self.parse(module)
        runtime = self.api["NewRuntime"](self.environment, STACK_BYTES, MARK)
        error = self.api["LoadModule"](runtime, loaded)
        if error:
            self.api["FreeModule"](loaded)
        else:
            unlinked = self.link(loaded, module)
            if unlinked:
                self.api["FreeRuntime"](runtime)
                raise Stop(REJECTED_INSTANTIATE, unlinked.decode("ascii"))
            error = self.api["RunStart"](loaded)
        if error:
            self.api["FreeRuntime"](runtime)
            raise stop_of(error.decode("ascii"))
        return Instance(self.api, module, runtime, loaded)


class Instance(BaseInstance):
    """
    One runtime with one module in it.
    """

    def __init__(self, api, parsed, runtime, module):
        self.api = api
        self.parsed = parsed
        self.runtime = runtime
        self.module = module
        self.fields = fields_of(runtime) if parsed.functions else None

    def check(self, name, kind, word):
        """
        Raise Stop unless the module exports `name` as a `word`.
        """
        if self.parsed.exports.get(name) != kind:
            raise Stop(REJECTED_ENTRY, "no exported %s %s" % (word, name))

    def bind(self, name, parameters, results):
        """
        See `engine.Instance.bind`.
        """
        self.check(name, 0, "function")
        api = self.api
        function = POINTER()
        error = api["FindFunction"](ctypes.byref(function), self.runtime, name.encode("utf-8"))
        if error:
            raise stop_of(error.decode("ascii"))
        actual = tuple(
            tuple(
                NAMES.get(api["Get%sType" % side](function, index), "other")
                for index in range(api["Get%sCount" % side](function))
            )
            for side in ("Arg", "Ret")
        )
        if actual != (tuple(parameters), tuple(results)):
            raise Stop(REJECTED_ENTRY, "%s has type %s -> %s" % ((name,) + actual))
        inward = (ctypes.c_uint64 * max(len(parameters), 1))()
        outward = (ctypes.c_uint64 * max(len(results), 1))()
        inward_at = pointers_to(inward, len(parameters))
        outward_at = pointers_to(outward, len(results))
        call, take = api["Call"], api["GetResults"]
        given, taken = len(parameters), len(results)

        def invoke_directly():
            error = call(function, given, inward_at)
            if error is None and taken:
                error = take(function, taken, outward_at)
            if error is not None:
                raise stop_of(error.decode("ascii"))

        def invoke_watched():
            if WAITING:
                called_above(self.fields, WAITING[-1], invoke_directly)
            else:
                invoke_directly()

        return (
            invoke_watched if self.parsed.functions else invoke_directly,
            memoryview(inward).cast("B").cast("Q"),
            memoryview(outward).cast("B").cast("Q"),
        )

    def memory(self, name):
        """
        A view of linear memory as it lies now.
        """
        self.check(name, 2, "memory")
        size = NUMBER()
        base = self.api["GetMemory"](self.runtime, ctypes.byref(size), 0)
        if not base or not size.value:
            return memoryview(b"")
        return memoryview((ctypes.c_ubyte * size.value).from_address(base)).cast("B")

    def grow(self, name, pages):
        """
        The library has no function for it.
        """
        raise Refused("memory", "unsupported", "wasm3 cannot grow memory for its host")

    def global_bits(self, name):
        """
        Bits of an exported global.
        """
        self.check(name, 3, "global")
        value = TaggedValue()
        found = self.api["FindGlobal"](self.module, name.encode("utf-8"))
        if not found or self.api["GetGlobal"](found, ctypes.byref(value)):
            raise Stop(REJECTED_ENTRY, "global %s cannot be read" % name)
        return value.bits & (0xFFFFFFFF if NAMES[value.type] in ("i32", "f32") else MASK64)

    def close(self):
        """
        Free the runtime, and with it the module and its memory.
        """
        if self.runtime:
            self.api["FreeRuntime"](self.runtime)
        self.module = self.runtime = None
