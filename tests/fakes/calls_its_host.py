"""
An honest worker whose cases ask their host: x[0] goes to `env.scale` and what comes back stands for
x[0] from there on. If x[0] is 9 the host is asked twice, and the second answer counts. A host that
ends a case has it end (26), the text of it among the details.

It serves `peek`, `poke`, `grow` (always refused) and `reenter` (export `twice`, f64 -> f64, which
doubles; if its argument is 7 it traps).
"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from honest import Honest, main, refusal

HOST_ERROR = 26


class HostTrap(Exception):
    """
    The host ended the case.
    """


class CallsItsHost(Honest):
    instance = None
    row = 0

    def capabilities(self):
        return [*Honest.capabilities(self), "hosts"]

    def call(self, header, blobs):
        self.details = {}
        reply = Honest.call(self, header, blobs)
        reply["details"] = self.details
        return reply

    def run(self, batch, row, instance):
        self.row, self.instance, self.trapped = row, instance, False
        try:
            stopped = Honest.run(self, batch, row, instance)
        except HostTrap as trap:
            self.details[str(row)] = str(trap)
            batch.put("status", row, bytes([HOST_ERROR]))
            return True
        return stopped

    def compute(self, x, instance):
        scaled = x[0]
        for _ in range(2 if x[0] == 9.0 else 1):
            scaled = self.asked(x[0], self.guilty and x[0] == self.culprit)
        return Honest.compute(self, (scaled, *x[1:]), instance)

    def asked(self, value, guilty):
        """
        Ask the host; `guilty`: this is the case to lie about.
        """
        del guilty
        return self.conversation(self.question(value))

    def question(self, value):
        """
        The turn that asks.
        """
        return {
            "id": self.serving, "turn": "host_call", "module": "env", "name": "scale",
            "row": self.row, "blobs": [8], "bytes": struct.pack("<d", value),
        }  # fmt: skip

    def conversation(self, question):
        """
        Ask, serve the host's steps, and return the number that comes back.
        """
        self.send(question)
        while True:
            header, blobs = self.next_frame()
            if "to" not in header:
                self.ahead.append((header, blobs))
            elif header["turn"] == "host_return":
                return struct.unpack("<d", blobs[0])[0]
            elif header["turn"] == "host_trap":
                self.on_trap(header["text"])
                return 0.0
            else:
                reply = getattr(self, "step_" + header["turn"])(header, blobs)
                self.send({"id": self.serving, "turn": header["turn"], **reply})

    def on_trap(self, text):
        """
        The host ends the case.
        """
        raise HostTrap(text)

    def step_peek(self, header, blobs):
        start, size = header["address"], header["size"]
        if start + size > len(self.instance.memory):
            return refusal("memory", "out-of-bounds")
        shown = bytes(self.instance.memory[start : start + size])
        return {"ok": True, "blobs": [size], "bytes": shown}

    def step_poke(self, header, blobs):
        start = header["address"]
        if start + len(blobs[0]) > len(self.instance.memory):
            return refusal("memory", "out-of-bounds")
        self.instance.memory[start : start + len(blobs[0])] = blobs[0]
        return {"ok": True}

    def step_grow(self, header, blobs):
        return {"ok": True, "blobs": [8], "bytes": struct.pack("<Q", 0xFFFFFFFF)}

    def step_reenter(self, header, blobs):
        (value,) = struct.unpack("<d", blobs[0])
        if value == 7.0:
            return {"error": {"stage": "trap", "rule": "status-16", "text": "unreachable"}}
        return {"ok": True, "blobs": [8], "bytes": struct.pack("<d", 2 * value)}


__all__ = ["CallsItsHost", "main"]

if __name__ == "__main__":
    main(CallsItsHost)
