"""
One open instance, prepared for one kind of call.
"""

from hashlib import sha256

from stop import REJECTED_ENTRY, Stop

MASK32 = 0xFFFFFFFF


class Session(object):
    """
    An instance with its entry bound and its buffers found.

    `size_in` and `size_out` are the bytes of the input and output buffers (0: there is none).
    """

    def __init__(self, instance, plan):
        self.instance = instance
        self.plan = plan
        self.memory_name = plan.get("memory")
        self.size_in = plan["input"]["size_bytes"] if plan.get("input") else 0
        self.size_out = plan["output"]["size_bytes"] if plan.get("output") else 0
        self.at_in = 0
        self.at_out = 0
        for name in plan.get("initialize", ()):
            instance.bind(name, (), ())[0]()
        if self.size_in:
            self.at_in = self._place(plan["input"])
        self.out_by_result = bool(self.size_out) and plan["output"]["place"]["type"] == "result"
        if self.size_out and not self.out_by_result:
            self.at_out = self._place(plan["output"])
        parameters = []
        self.fixed = []
        self.slots = []
        for position, argument in enumerate(plan.get("arguments", ())):
            kind = argument["type"]
            if kind == "slot":
                parameters.append(argument["value_type"])
                self.slots.append((position, argument["index"]))
            elif kind == "constant":
                value_type, digits = argument["bits"].split(":")
                parameters.append(value_type)
                self.fixed.append((position, int(digits, 16)))
            else:
                parameters.append("i32")
                address = self.at_in if kind == "input-pointer" else self.at_out
                self.fixed.append((position, address))
        self.results = tuple(plan.get("results", ()))
        self.invoke, self.arguments, self.outcome = instance.bind(
            plan["entry"], tuple(parameters), self.results
        )
        self.memory = None
        if self.memory_name is not None:
            self.refresh()
        if self.size_in or self.size_out:
            if self.memory is None:
                raise Stop(REJECTED_ENTRY, "the module exports no memory for its buffers")
            self.inside(self.at_in, self.size_in)
            self.inside(self.at_out, self.size_out)

    def _place(self, buffer):
        """
        Address of a buffer.
        """
        place = buffer["place"]
        kind = place["type"]
        if kind == "address":
            return place["address"]
        parameters = ("i32",) if kind == "allocator" else ()
        invoke, arguments, outcome = self.instance.bind(place["name"], parameters, ("i32",))
        if parameters:
            arguments[0] = buffer["size_bytes"]
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
        return len(self.memory) // 65536

    def digest(self):
        """
        SHA-256 of the whole linear memory.
        """
        return sha256(self.memory).digest()

    def close(self):
        """
        Let go of the instance; views of its memory first.
        """
        self.memory = None
        self.invoke = self.arguments = self.outcome = None
        self.instance.close()
        self.instance = None
