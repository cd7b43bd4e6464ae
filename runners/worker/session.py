"""
One open instance, prepared for one kind of call.
"""

from hashlib import sha256

from stop import REJECTED_ENTRY, Stop

MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF
MASKS = {"i32": MASK32, "f32": MASK32, "i64": MASK64, "f64": MASK64}
PAGE = 65536


class Plan(object):
    """
    A record `Call`, taken apart once for all instances that serve it.

    `size_in` and `size_out` are the bytes of the input and output buffers (0: there is none).
    """

    def __init__(self, call):
        self.entry = call["entry"]
        self.memory_name = call.get("memory")
        self.initialize = tuple(call.get("initialize", ()))
        self.globals = tuple(call.get("globals", ()))
        self.grows = call.get("grows", True)
        self.size_in, self.place_in = taken_apart(call.get("input"))
        self.size_out, self.place_out = taken_apart(call.get("output"))
        self.out_by_result = bool(self.size_out) and self.place_out[0] == "result"
        self.results = tuple(call.get("results", ()))
        self.masks = tuple(MASKS[kind] for kind in self.results)
        self.parameters = []
        self.constants = []
        self.pointers = []
        self.made = []
        self.slots = []
        for position, argument in enumerate(call.get("arguments", ())):
            kind = argument["type"]
            if kind == "slot":
                self.parameters.append(argument["value_type"])
                self.slots.append((position, argument["index"]))
            elif kind == "constant":
                value_type, digits = argument["bits"].split(":")
                self.parameters.append(value_type)
                self.constants.append((position, int(digits, 16)))
            elif kind == "made":
                given = [text.split(":") for text in argument.get("given", ())]
                self.parameters.append("i32")
                self.made.append((position, argument["export"], given))
            else:
                self.parameters.append("i32")
                self.pointers.append((position, kind == "input-pointer"))
        self.parameters = tuple(self.parameters)
        self.slot_count = 1 + max([index for _, index in self.slots] or [-1])
        self.watches_memory = self.memory_name is not None


def taken_apart(buffer):
    """
    Size of a buffer and its place as (kind, export name or address); (0, None) if there is none.
    """
    if not buffer or not buffer["size_bytes"]:
        return 0, None
    place = buffer["place"]
    return buffer["size_bytes"], (place["type"], place.get("name", place.get("address")))


class Session(object):
    """
    An instance with its entry bound and its buffers found.

    `fixed` are the arguments that are the same for every case: (position, bits).
    """

    def __init__(self, instance, plan, initialize=True):
        self.instance = instance
        self.plan = plan
        self.memory_name = plan.memory_name
        self.memory = None
        self.at_in = 0
        self.at_out = 0
        if initialize:
            for name in plan.initialize:
                instance.bind(name, (), ())[0]()
        made = [(position, self._make(name, given)) for position, name, given in plan.made]
        if plan.size_in:
            self.at_in = self._place(plan.place_in, plan.size_in)
        if plan.size_out and not plan.out_by_result:
            self.at_out = self._place(plan.place_out, plan.size_out)
        self.fixed = plan.constants + made if made else plan.constants
        if plan.pointers:
            self.fixed = self.fixed + [
                (position, self.at_in if is_input else self.at_out)
                for position, is_input in plan.pointers
            ]
        self.invoke, self.arguments, self.outcome = instance.bind(
            plan.entry, plan.parameters, plan.results
        )
        if plan.memory_name is not None:
            self.refresh()
        if plan.size_in or plan.size_out:
            if self.memory is None:
                raise Stop(REJECTED_ENTRY, "the module exports no memory for its buffers")
            self.inside(self.at_in, plan.size_in)
            self.inside(self.at_out, plan.size_out)

    def _place(self, place, size):
        """
        Address of a buffer.
        """
        kind, name = place
        if kind == "address":
            return name
        parameters = ("i32",) if kind == "allocator" else ()
        invoke, arguments, outcome = self.instance.bind(name, parameters, ("i32",))
        if parameters:
            arguments[0] = size
        invoke()
        return int(outcome[0]) & MASK32

    def _make(self, name, given):
        """
        What an export gives for constants.
        """
        parameters = tuple(value_type for value_type, _ in given)
        invoke, arguments, outcome = self.instance.bind(name, parameters, ("i32",))
        for position, (_, digits) in enumerate(given):
            arguments[position] = int(digits, 16)
        invoke()
        return int(outcome[0]) & MASK32

    def inside(self, address, size):
        """
        Check that a buffer lies within memory; raises Stop.
        """
        if address + size > len(self.memory):
            text = "buffer %d+%d beyond memory of %d bytes" % (address, size, len(self.memory))
            raise Stop(REJECTED_ENTRY, text)

    def refresh(self):
        """
        Look at memory again: it may have moved or grown.
        """
        self.memory = self.instance.memory(self.memory_name)

    def pages(self):
        """
        Pages of linear memory.
        """
        return len(self.memory) // PAGE

    def digest(self):
        """
        SHA-256 of the whole linear memory.
        """
        return sha256(self.memory).digest()

    def release(self):
        """
        Let go of views of the instance's memory, and leave it open.
        """
        self.memory = None
        self.invoke = self.arguments = self.outcome = None

    def close(self):
        """
        Let go of the instance; views of its memory first.
        """
        self.release()
        self.instance.close()
        self.instance = None
