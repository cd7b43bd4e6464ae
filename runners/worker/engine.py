"""
What an engine file must offer to the loop (`runners/worker/loop.py`).

An engine file defines a class `Engine` derived from this one, and nothing else of its surface is
used. All numbers are unsigned integers that hold bits: an f64 is carried as its 64 bits.
"""


class Engine(object):
    """
    One engine; created once per worker.
    """

    name = ""
    capabilities = ()

    def identity(self):
        """
        Dict with package_version, core_version, library_sha256.
        """
        raise NotImplementedError

    def meter(self):
        """
        Name of the engine's own meter, `fuel:NAME@VERSION`.
        """
        return "fuel:%s@%s" % (self.name, self.identity()["package_version"])

    def load(self, wasm, settings, cpu, memory_pages, imports, metered):
        """
        Compile and return any object; raises Refused(stage="compile").

        `imports` are the functions that the module asks for, each a `conversation.Import`: an
        engine that claims `hosts` calls `answer` of it when the guest calls the function. A
        module with other imports, or whose imports have other types, fails in `open`.

        `metered` asks for the engine's own meter (only if "fuel" is a capability).
        """
        raise NotImplementedError

    def open(self, module, fuel, pooled):
        """
        Instantiate and return an `Instance`; `fuel` is the budget of one call or None.

        Raises Stop(REJECTED_INSTANTIATE), or Stop of the trap in the start function.
        """
        raise NotImplementedError


class Instance(object):
    """
    One instance.
    """

    def bind(self, name, parameters, results):
        """
        Prepare calls of export `name`, with core types as tuples of "i32", "i64", "f32", "f64".

        Returns `(invoke, arguments, outcome)`: writable sequences of unsigned 64-bit numbers, one
        per parameter and per result (a memoryview, an array or a list), and a function without
        arguments that calls, reading `arguments` and filling `outcome`. invoke raises Stop. The
        two may be the same cells: arguments are written anew before every call.
        bind raises Stop(REJECTED_ENTRY) for a missing export or another type.
        """
        raise NotImplementedError

    def memory(self, name):
        """
        A writable memoryview of bytes over the whole exported memory, or an object that takes
        slices like one. Asked again after each call that may grow memory.
        """
        raise NotImplementedError

    def grow(self, name, pages):
        """
        Grow an exported memory; returns the pages before, or -1 if growth is refused.
        """
        raise NotImplementedError

    def global_bits(self, name):
        """
        Value of an exported global as unsigned bits.
        """
        raise NotImplementedError

    def refuel(self):
        """
        Give the instance its whole budget again (metered modules only).
        """

    def fuel_used(self):
        """
        Units of fuel since `refuel` (metered modules only).
        """
        raise NotImplementedError

    def close(self):
        """
        Let go of what the instance holds.
        """
