"""
As `calls_its_host`, but for the culprit it breaks the rules of host calls in the way `lie` names:

`stranger` calls what is not imported, `many` gives two arguments, `wide` bits that an i32 cannot
have, `row` names another row, `nameless` gives no name; `unasked` sends a step that nobody asked
for, `short` answers a peek with too few bytes, `silent` with neither ok nor an error, `other`
answers it as a poke, `impatient` calls again while its peek is asked for, `early` ends the batch
while the host is asked, `deaf` goes on when the host has ended the case.
`idle` calls its host while it loads a module.
"""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from calls_its_host import CallsItsHost, main


class EndsBatch(Exception):
    """
    The batch is answered at once.
    """


class LiesToItsHost(CallsItsHost):
    lying = False

    def load(self, header, blobs):
        if self.parameters["lie"] == "idle" and header["module"] != "probe":
            self.send(self.question(1.0))
        return CallsItsHost.load(self, header, blobs)

    def call(self, header, blobs):
        try:
            return CallsItsHost.call(self, header, blobs)
        except EndsBatch:
            return {"filled": [], "not_observed": {}, "meter": "", "details": {}}

    def asked(self, value, guilty):
        self.lying = guilty
        question = self.question(value)
        if guilty:
            changes = {
                "stranger": {"name": "shrink"},
                "many": {"blobs": [16], "bytes": bytes(16)},
                "wide": {"name": "narrow", "bytes": struct.pack("<Q", 1 << 32)},
                "row": {"row": self.row + 1},
                "nameless": {"name": None},
                "unasked": {"turn": "peek", "ok": True, "blobs": [1], "bytes": b"x"},
            }
            question.update(changes.get(self.parameters["lie"], {}))
        if guilty and self.parameters["lie"] == "early":
            self.send(question)
            raise EndsBatch
        return self.conversation(question)

    def on_trap(self, text):
        if not (self.lying and self.parameters["lie"] == "deaf"):
            CallsItsHost.on_trap(self, text)

    def step_peek(self, header, blobs):
        reply = CallsItsHost.step_peek(self, header, blobs)
        lie = self.parameters["lie"] if self.lying else ""
        if lie == "short":
            reply.update(blobs=[0], bytes=b"")
        elif lie == "silent":
            reply = {"blobs": []}
        elif lie == "other":
            reply = {"turn": "poke", "ok": True}
        elif lie == "impatient":
            self.send(self.question(2.0))
        return reply


if __name__ == "__main__":
    main(LiesToItsHost)
