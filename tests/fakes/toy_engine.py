"""
An engine file that is no lie and no WebAssembly: a Python object for a module.

It runs under the real loop of `runners/worker/`, so that the loop is tested without an engine.
The module's bytes are JSON, all of it optional: `pages` of memory (0: none), `out_at` (address of
the output buffer), `moves` (memory is another one after each call, and the old one is poisoned),
`refuse` (rule of a refusal to compile), `start` (status of a start function that stops), `fault` (raise this in
every call), `gas`.

Entry `infer` (pointers in, out) writes the f64 product and the number of calls. Entry `add`
(i64, i64) -> i64 adds and counts. Entry `narrow` (i32) -> f32 gives its bits back with dirt
above them. Entry `where` () -> i32 writes the input buffer's first byte doubled at `out_at` and
returns that address. Entry `first` (i32) -> i32 gives the input buffer's first byte. Entry `grow` (i32) -> i32 adds pages. Entries `init`, `in_ptr`, `out_ptr` and
`alloc` are what they are called; `bad_init` stops.
"""

import json
import struct

from engine import Engine as Base
from engine import Instance as BaseInstance
from stop import EXHAUSTED_FUEL, REJECTED_ENTRY, TRAP_UNREACHABLE, Refused, Stop

TYPES = {
    "infer": (("i32", "i32"), ()),
    "add": (("i64", "i64"), ("i64",)),
    "narrow": (("i32",), ("f32",)),
    "where": (("i32",), ("i32",)),
    "first": (("i32",), ("i32",)),
    "grow": (("i32",), ("i32",)),
    "init": ((), ()),
    "bad_init": ((), ()),
    "in_ptr": ((), ("i32",)),
    "out_ptr": ((), ("i32",)),
    "alloc": (("i32",), ("i32",)),
}
PAGE = 65536


class Engine(Base):
    name = "toy"
    capabilities = ("level:state", "level:full", "fuel")

    def identity(self):
        return {"package_version": "3.1", "core_version": "toy@3", "library_sha256": ""}

    def load(self, wasm, settings, cpu, memory_pages, imports, metered):
        module = json.loads(wasm.decode())
        if "refuse" in module:
            raise Refused("compile", module["refuse"], "as it was told to")
        return dict(module, ceiling=memory_pages, metered=metered)

    def open(self, module, fuel, pooled):
        if "start" in module:
            raise Stop(module["start"], "the start function")
        return Instance(module, fuel)


class Instance(BaseInstance):
    def __init__(self, module, fuel):
        self.module = module
        self.budget = fuel
        self.used = 0
        self.calls = 0
        self.ready = 0
        self.data = bytearray(module.get("pages", 1) * PAGE)
        self.closed = False

    def bind(self, name, parameters, results):
        if TYPES.get(name) != (tuple(parameters), tuple(results)):
            raise Stop(REJECTED_ENTRY, "no function %s of that type" % name)
        arguments, outcome = [0] * len(parameters), [0] * len(results)
        function = getattr(self, name)

        def invoke():
            value = function(*arguments)
            if results:
                outcome[0] = value

        return invoke, arguments, outcome

    def entered(self):
        if "fault" in self.module:
            raise {"TypeError": TypeError, "MemoryError": MemoryError}[self.module["fault"]]("toy")
        self.calls += 1
        self.used += self.module.get("gas", 10) * self.calls
        if self.budget is not None and self.module["metered"] and self.used > self.budget:
            raise Stop(EXHAUSTED_FUEL, "out of fuel")

    def left(self):
        if self.module.get("moves"):
            old, self.data = self.data, bytearray(self.data)
            old[:] = b"\xee" * len(old)

    def infer(self, at_in, at_out):
        self.entered()
        x, y = struct.unpack_from("<dd", self.data, at_in)
        if x == 7.0:
            raise Stop(TRAP_UNREACHABLE, "seven")
        struct.pack_into("<dd", self.data, at_out, x * y, self.calls + 1000.0 * self.ready)
        self.left()

    def add(self, a, b):
        self.entered()
        return (a + b + self.calls) & 0xFFFFFFFFFFFFFFFF

    def narrow(self, a):
        self.entered()
        return a | 0xABCD00000000

    def where(self, at_in):
        self.entered()
        at = self.module.get("out_at", 512)
        if at < len(self.data):
            self.data[at] = 2 * self.data[at_in] % 256
        self.left()
        return at

    def first(self, at_in):
        self.entered()
        value = self.data[at_in]
        self.left()
        return value

    def grow(self, pages):
        self.entered()
        before = len(self.data) // PAGE
        if before + pages > self.module["ceiling"]:
            return 0xFFFFFFFF
        self.data = self.data + bytearray(pages * PAGE)
        return before

    def init(self):
        self.ready += 1

    def bad_init(self):
        raise Stop(TRAP_UNREACHABLE, "bad_init")

    def in_ptr(self):
        return 128

    def out_ptr(self):
        return self.module.get("out_at", 512)

    def alloc(self, size):
        return PAGE - size

    def memory(self, name):
        return memoryview(self.data)

    def global_bits(self, name):
        return self.calls

    def refuel(self):
        self.used = 0

    def fuel_used(self):
        return self.used

    def close(self):
        self.closed = True
