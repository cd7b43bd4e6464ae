"""
Runs one batch of cases through sessions, writing its rows into the arena.
"""

import re

from session import Session
from stop import RETURNED, Stop

_REUSE = re.compile(r"reuse\(([1-9][0-9]{0,8})\)\Z")
_DETAILS = 64


class BadCommand(Exception):
    """
    A command's fields do not follow PROTOCOL.md.
    """


def reuse_of(policy):
    """
    Cases per instance: 1 for `fresh` and `pooled`, N for `reuse(N)`.
    """
    if policy in ("fresh", "pooled"):
        return 1
    match = _REUSE.match(policy)
    if match is None:
        raise BadCommand("policy %r" % (policy,))
    return int(match.group(1))


class Batch(object):
    """
    The rows of one `call` command and where they lie in the arena.
    """

    def __init__(self, arena, header, open_instance, metered):
        plan = header["call"]
        at = header["at"]
        self.plan = plan
        self.open_instance = open_instance
        self.count = header["count"]
        self.reuse = reuse_of(header["policy"])
        self.level = header["level"]
        self.metered = metered
        self.slots = 1 + max(
            [a["index"] for a in plan.get("arguments", ()) if a["type"] == "slot"] or [-1]
        )
        self.slot_bytes = 8 * self.slots
        self.result_bytes = 8 * len(plan.get("results", ()))
        size_in = plan["input"]["size_bytes"] if plan.get("input") else 0
        size_out = plan["output"]["size_bytes"] if plan.get("output") else 0
        self.in_bytes = self.slot_bytes + size_in
        self.out_bytes = self.result_bytes + size_out
        count = self.count
        self.progress = arena[at["progress"] : at["progress"] + 8].cast("Q")
        self.inputs = arena[at["input"] : at["input"] + count * self.in_bytes]
        self.status = arena[at["status"] : at["status"] + count]
        self.outputs = arena[at["output"] : at["output"] + count * self.out_bytes]
        self.globals = tuple(plan.get("globals", ()))
        self.arrays = {}
        for name, width in (
            ("pages", 4),
            ("memory", 32),
            ("globals", 8 * len(self.globals)),
            ("gas", 8),
        ):
            if name in at:
                self.arrays[name] = arena[at[name] : at[name] + count * width]
        self.details = {}
        self.session = None

    def run(self):
        """
        Run all cases; returns when every row is written.
        """
        position = 0
        step = self._run_plainly if self._is_plain() else self._run_watched
        while position < self.count:
            stop = min(self.count, position - position % self.reuse + self.reuse)
            try:
                self.progress[0] = position + 1
                if self.session is None:
                    self._open(position)
                position = step(position, stop)
            except Stop as end:
                position = self._ended(self.progress[0] - 1, end)
            if position % self.reuse == 0:
                self._close()
        self._close()
        self.progress[0] = self.count + 1

    def _is_plain(self):
        """
        Whether the tight loop serves: buffers only, nothing observed but results.
        """
        return (
            self.level == "result"
            and not self.slots
            and not self.result_bytes
            and not self.metered
            and self.plan.get("output") is not None
            and self.plan.get("input") is not None
        )

    def _open(self, position):
        """
        Open the instance of the case at `position`.
        """
        self.session = Session(self.open_instance(), self.plan)

    def _close(self):
        """
        Drop the instance, if one is open.
        """
        if self.session is not None:
            session, self.session = self.session, None
            session.close()

    def _ended(self, row, end):
        """
        Write the row of a case that did not return; the next row is where to go on.

        What fails while an instance is opened fails for every case of that instance.
        """
        first = self.session is None
        if not first and self.level != "result" and self.session.memory is not None:
            self.session.refresh()
            self._observe(row)
        self._close()
        last = row + 1
        if first:
            last = min(self.count, row - row % self.reuse + self.reuse)
        for index in range(row, last):
            self.status[index] = end.status
            if len(self.details) < _DETAILS:
                self.details[str(index)] = end.text[:200]
        return last

    def _run_plainly(self, position, stop):
        """
        The tight loop: nothing per case that can be done per instance.
        """
        session = self.session
        invoke = session.invoke
        memory = session.memory
        inputs, outputs = self.inputs, self.outputs
        progress, status = self.progress, self.status
        size_in, size_out = session.size_in, session.size_out
        at_in, at_out = session.at_in, session.at_out
        in_end, out_end = at_in + size_in, at_out + size_out
        arguments, fixed = session.arguments, session.fixed
        grows = self.plan.get("grows", True)
        source = position * size_in
        target = position * size_out
        for row in range(position, stop):
            progress[0] = row + 1
            memory[at_in:in_end] = inputs[source : source + size_in]
            for place, bits in fixed:
                arguments[place] = bits
            invoke()
            if grows:
                session.refresh()
                memory = session.memory
            outputs[target : target + size_out] = memory[at_out:out_end]
            status[row] = RETURNED
            source += size_in
            target += size_out
        return stop

    def _run_watched(self, position, stop):
        """
        The general loop: scalar slots, results, and whatever the level asks for.
        """
        session = self.session
        slots = self.inputs
        watched = self.level != "result"
        for row in range(position, stop):
            self.progress[0] = row + 1
            source = row * self.in_bytes
            target = row * self.out_bytes
            if self.metered:
                session.instance.refuel()
            if session.size_in:
                start = source + self.slot_bytes
                session.memory[session.at_in : session.at_in + session.size_in] = self.inputs[
                    start : start + session.size_in
                ]
            for place, bits in session.fixed:
                session.arguments[place] = bits
            for place, index in session.slots:
                start = source + 8 * index
                session.arguments[place] = int.from_bytes(slots[start : start + 8], "little")
            session.invoke()
            outcome = session.outcome
            values = [int(outcome[index]) for index in range(len(session.results))]
            if session.memory_name is not None and (watched or session.size_out):
                session.refresh()
            if session.out_by_result:
                session.at_out = values[0] & 0xFFFFFFFF
                session.inside(session.at_out, session.size_out)
            for index, (bits, kind) in enumerate(zip(values, session.results)):
                start = target + 8 * index
                if kind in ("i32", "f32"):
                    bits &= 0xFFFFFFFF
                self.outputs[start : start + 8] = bits.to_bytes(8, "little")
            if session.size_out:
                start = target + self.result_bytes
                self.outputs[start : start + session.size_out] = session.memory[
                    session.at_out : session.at_out + session.size_out
                ]
            if watched:
                self._observe(row)
            self.status[row] = RETURNED
        return stop

    def _observe(self, row):
        """
        Write what the level asks for beside results.
        """
        session = self.session
        arrays = self.arrays
        if session.memory is not None:
            if "pages" in arrays:
                arrays["pages"][4 * row : 4 * row + 4] = session.pages().to_bytes(4, "little")
            if "memory" in arrays:
                arrays["memory"][32 * row : 32 * row + 32] = session.digest()
        if "globals" in arrays:
            start = row * 8 * len(self.globals)
            for name in self.globals:
                bits = session.instance.global_bits(name)
                arrays["globals"][start : start + 8] = bits.to_bytes(8, "little")
                start += 8
        if self.metered and "gas" in arrays:
            used = session.instance.fuel_used()
            arrays["gas"][8 * row : 8 * row + 8] = used.to_bytes(8, "little")
