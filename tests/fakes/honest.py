"""
An honest worker without an engine: what every fake is built from.

It speaks the protocol of `runners/PROTOCOL.md` from its own code, shares none with
`runners/worker/`, and needs the standard library alone. Whatever the module's bytes are, entry
`infer` reads the input buffer as f64 values x and writes, as far as the output buffer has room,
x[0] * x[1] and the number of calls that the instance has served, this one included. If x[0] is 7
the call traps (unreachable). Entry `probe` gives the product of two slots that hold bits of f64, as
the controller's probe of the floating-point unit asks. No other slots or results are supported.
Memory is one page; it holds the last input at the input buffer's address and the last output at the
output buffer's, as named instances show.

A fake overrides one method and is started as `python FAKE.py [key=value ...] FD FD FD`.
"""

import hashlib
import json
import mmap
import os
import struct
import sys

PROBE_BYTES_IN, PROBE_BYTES_OUT = 16, 8
RETURNED = 1
UNREACHABLE = 16
COMMANDS = ("hello", "load", "open_instance", "call", "peek", "poke", "drop")


class Instance:
    """
    What the module keeps between calls.
    """

    def __init__(self):
        self.calls = 0
        self.memory = bytearray(65536)
        self.spent = False


class Batch:
    """
    The fields of one `call` command, and its rows in the arena.
    """

    def __init__(self, arena, header):
        self.arena = arena
        self.at = header["at"]
        self.count = header["count"]
        self.level = header["level"]
        call = header["call"]
        self.in_bytes = call["input"]["size_bytes"] if call["input"] else PROBE_BYTES_IN
        self.out_bytes = call["output"]["size_bytes"] if call["output"] else PROBE_BYTES_OUT
        self.at_in, self.at_out = address(call["input"]), address(call["output"])
        policy = header["policy"]
        self.reuse = int(policy[6:-1]) if policy.startswith("reuse(") else 1

    def set_progress(self, value):
        """
        Write the progress word.
        """
        self.put("progress", 0, struct.pack("<Q", value))

    def input(self, row):
        """
        Bytes of an input row.
        """
        start = self.at["input"] + row * self.in_bytes
        return self.arena[start : start + self.in_bytes]

    def put(self, name, row, data):
        """
        Write one row of an array.
        """
        start = self.at[name] + row * len(data)
        self.arena[start : start + len(data)] = data


def address(buffer):
    """
    Where a buffer lies; 0 if there is none, or if it is not at a fixed address.
    """
    return buffer["place"].get("address", 0) if buffer else 0


class Honest:
    """
    The worker; one method per thing that a fake may lie about.
    """

    def __init__(self, commands, replies, arena, **parameters):
        self.commands, self.replies, self.arena_descriptor = commands, replies, arena
        self.parameters = parameters
        self.culprit = float(parameters.get("at", "nan"))
        """The fake lies about cases whose x[0] is this."""
        self.arena = mmap.mmap(arena, os.fstat(arena).st_size)
        self.guilty = False
        """Whether the batch that runs holds such a case."""
        self.held = {}
        self.ahead = []
        """Commands that came while another was served."""
        self.serving = None

    # -------------------------------------------------------------------------- what it says

    def capabilities(self):
        """
        What it claims.
        """
        return ["level:state", "level:full", "fuel"]

    def hello(self, header, blobs):
        """
        Who it is.
        """
        return {
            "protocol": 1, "engine": "fake", "package_version": "1.0", "core_version": "fake@1.0",
            "library_sha256": "0" * 64, "interpreter": "none", "cpu_features_sha256": "0" * 64,
            "capabilities": self.capabilities(),
        }  # fmt: skip

    def load(self, header, blobs):
        """
        Compile: nothing to do.
        """
        return {}

    def call(self, header, blobs):
        """
        Run a batch.
        """
        batch = Batch(self.arena, header)
        if header["call"]["entry"] == "probe":
            return self.probe(batch)
        self.guilty = False
        held = instance = None
        if header.get("instance") is not None:
            held = self.held.get(header["instance"])
            if held is None or held.spent:
                return refusal("protocol", "spent-instance" if held else "unknown-instance")
        for row in range(batch.count):
            if row % batch.reuse == 0:
                instance = None
            batch.set_progress(row + 1)
            instance = held or instance or self.new_instance()
            if held and held.spent:
                batch.put("status", row, bytes([UNREACHABLE]))
                continue
            instance.spent = self.run(batch, row, instance)
            instance = None if instance.spent else instance
        batch.set_progress(batch.count + 1)
        arrays = {"result": [], "state": ["pages", "memory", "globals"]}
        filled = arrays.get(batch.level, ["pages", "memory", "globals", "gas"])
        meter = "fuel:fake@1.0" if batch.level == "full" else ""
        return {"filled": filled, "not_observed": {}, "meter": meter, "details": {}}

    def run(self, batch, row, instance):
        """
        Run one case; returns whether it trapped.
        """
        data = batch.input(row)
        x = struct.unpack("<%dd" % (len(data) // 8), data)
        instance.calls += 1
        if x[0] == self.culprit:
            self.guilty = True
            self.misbehave(batch, row)
        trapped = x[0] == 7.0
        instance.memory[batch.at_in : batch.at_in + len(data)] = data
        if not trapped:
            output = self.compute(x, instance)[: batch.out_bytes]
            instance.memory[batch.at_out : batch.at_out + len(output)] = output
            batch.put("output", row, output)
        if batch.level != "result":
            digest = hashlib.sha256(data + bytes([instance.calls % 256])).digest()
            batch.put("pages", row, struct.pack("<I", 1))
            batch.put("memory", row, digest)
        if batch.level == "full":
            batch.put("gas", row, struct.pack("<Q", self.gas(x, instance)))
        batch.put("status", row, bytes([UNREACHABLE if trapped else self.status(x)]))
        return trapped

    def probe(self, batch):
        """
        Run the probe of the floating-point unit: no case of anybody's.
        """
        for row in range(batch.count):
            x = struct.unpack("<dd", batch.input(row))
            batch.put("output", row, struct.pack("<d", self.probed(x)))
            batch.put("status", row, bytes([RETURNED]))
        batch.set_progress(batch.count + 1)
        return {"filled": [], "not_observed": {}, "meter": "", "details": {}}

    def probed(self, x):
        """
        A product of the probe.
        """
        return x[0] * x[1]

    def misbehave(self, batch, row):
        """
        Called before a case that the fake is to lie about.
        """

    def compute(self, x, instance):
        """
        The output buffer.
        """
        return struct.pack("<dd", self.product(x, instance), instance.calls)

    def product(self, x, instance):
        """
        The first output.
        """
        return x[0] * x[1]

    def gas(self, x, instance):
        """
        The meter's reading.
        """
        return 100 + instance.calls

    def status(self, x):
        """
        Status byte of a case that returned.
        """
        return RETURNED

    # --------------------------------------------------------------------- named instances

    def new_instance(self):
        """
        A new instance.
        """
        return Instance()

    def open_instance(self, header, blobs):
        """
        Open a named instance.
        """
        self.held[header["instance"]] = self.new_instance()
        return {}

    def drop(self, header, blobs):
        """
        Drop a named instance.
        """
        self.held.pop(header.get("instance"), None)
        return {}

    def peek(self, header, blobs):
        """
        Show memory.
        """
        instance = self.held.get(header["instance"])
        if instance is None:
            return refusal("protocol", "unknown-instance")
        start, size = header["address"], header["size"]
        if start < 0 or size < 0 or start + size > len(instance.memory):
            return refusal("memory", "out-of-bounds")
        shown = bytes(instance.memory[start : start + size])
        return {"memory_bytes": len(instance.memory), "blobs": [size], "bytes": shown}

    def poke(self, header, blobs):
        """
        Write memory.
        """
        instance = self.held.get(header["instance"])
        if instance is None:
            return refusal("protocol", "unknown-instance")
        start = header["address"]
        if start < 0 or start + len(blobs[0]) > len(instance.memory):
            return refusal("memory", "out-of-bounds")
        instance.memory[start : start + len(blobs[0])] = blobs[0]
        return {}

    # ------------------------------------------------------------------------ how it says it

    def frame(self, reply):
        """
        Bytes of a reply.
        """
        shown = reply.pop("bytes", b"")
        raw = json.dumps(reply).encode()
        return struct.pack("<I", len(raw)) + raw + shown

    def send(self, reply):
        """
        Send a reply.
        """
        write(self.replies, self.frame(reply))

    def next_frame(self):
        """
        Read a frame: its header and blobs.
        """
        prefix = read(self.commands, 4)
        header = json.loads(read(self.commands, struct.unpack("<I", prefix)[0]))
        return header, [read(self.commands, size) for size in header.get("blobs", ())]

    def serve(self):
        """
        Answer commands until they end.
        """
        while True:
            header, blobs = self.ahead.pop(0) if self.ahead else self.next_frame()
            self.serving = header["id"]
            if header["command"] in COMMANDS:
                reply = getattr(self, header["command"])(header, blobs)
            else:
                reply = refusal("protocol", "unknown-command")
            if "error" not in reply:
                reply["ok"] = True
            reply["id"] = header["id"]
            self.send(reply)


def refusal(stage, rule):
    """
    A reply that refuses.
    """
    return {"error": {"stage": stage, "rule": rule, "text": ""}}


def read(descriptor, size):
    """
    Read `size` bytes; exits at the end of the stream.
    """
    data = b""
    while len(data) < size:
        chunk = os.read(descriptor, size - len(data))
        if not chunk:
            sys.exit(0)
        data += chunk
    return data


def write(descriptor, data):
    """
    Write everything.
    """
    while data:
        data = data[os.write(descriptor, data) :]


def main(worker_class):
    """
    Run a worker of this class.
    """
    parameters = dict(text.split("=", 1) for text in sys.argv[1:-3])
    worker_class(*map(int, sys.argv[-3:]), **parameters).serve()


if __name__ == "__main__":
    main(Honest)
