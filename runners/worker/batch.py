"""
Runs one batch of cases through sessions, writing its rows into the arena.
"""

import re

from session import Plan, Session
from stop import REJECTED_ENTRY, RETURNED, Stop

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

    def __init__(self, arena, header, open_instance, metered, conversation, held=None):
        plan = self.plan = Plan(header["call"])
        at = header["at"]
        self.call = header["call"]
        self.open_instance = open_instance
        self.conversation = conversation
        # A host may grow memory although nothing in the module can.
        plan.grows = plan.grows or conversation.hosted
        self.held = held
        self.count = count = header["count"]
        # A held instance serves the whole batch, whatever the policy.
        self.reuse = reuse_of(header["policy"]) if held is None else max(1, count)
        self.level = header["level"]
        self.metered = metered
        self.slot_bytes = 8 * plan.slot_count
        self.result_bytes = 8 * len(plan.results)
        self.in_bytes = self.slot_bytes + plan.size_in
        self.out_bytes = self.result_bytes + plan.size_out
        self.progress = arena[at["progress"] : at["progress"] + 8].cast("Q")
        self.inputs = arena[at["input"] : at["input"] + count * self.in_bytes]
        self.status = arena[at["status"] : at["status"] + count]
        self.outputs = arena[at["output"] : at["output"] + count * self.out_bytes]
        self.arrays = {}
        for name, width in (
            ("pages", 4),
            ("memory", 32),
            ("globals", 8 * len(plan.globals)),
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
        self.conversation.progress = self.progress
        step = self._run_plainly if self._is_plain() else self._run_watched
        while position < self.count:
            stop = min(self.count, position - position % self.reuse + self.reuse)
            try:
                self.progress[0] = position + 1
                if self.session is None:
                    self._open()
                position = step(position, stop)
            except Stop as end:
                end = self.conversation.reason(end)
                position = self._ended(self.progress[0] - 1, end)
            if position % self.reuse == 0:
                self._close()
        self._close()
        self.progress[0] = self.count + 1

    def _is_plain(self):
        """
        Whether the tight loop serves: buffers only, nothing observed but results.
        """
        plan = self.plan
        return (
            self.level == "result"
            and not self.metered
            and not self.slot_bytes
            and not self.result_bytes
            and plan.size_in > 0
            and plan.size_out > 0
        )

    def _open(self):
        """
        Open the next instance, or take the one that is held.
        """
        conversation, name = self.conversation, self.plan.memory_name
        if self.held is None:
            conversation.runs(None, None)
            instance = self.open_instance()
            conversation.runs(instance, name)
            self.session = Session(instance, self.plan)
        else:
            conversation.runs(self.held.instance, name)
            self.session = self.held.session(self.call)

    def _close(self):
        """
        Drop the instance, if one is open and nobody holds it.
        """
        session, self.session = self.session, None
        if session is not None and self.held is None:
            session.close()

    def _ended(self, row, end):
        """
        Write the row of a case that did not return; the next row is where to go on.

        What fails while an instance is opened fails for every case of that instance. A held
        instance is spent by a case that stops: the rest of the batch has the same outcome.
        """
        first = self.session is None
        if not first and self.level != "result" and self.session.memory is not None:
            self.session.refresh()
            self._observe(row)
        self._close()
        last = row + 1
        if self.held is not None:
            last = self.count
            if not first or end.status != REJECTED_ENTRY:
                self.held.spent = end.text[:200] or "status %d" % end.status
        elif first:
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
        session, plan = self.session, self.plan
        invoke, memory = session.invoke, session.memory
        inputs, outputs = self.inputs, self.outputs
        progress, status = self.progress, self.status
        size_in, size_out = plan.size_in, plan.size_out
        buffer_in = slice(session.at_in, session.at_in + size_in)
        buffer_out = slice(session.at_out, session.at_out + size_out)
        arguments, fixed, grows = session.arguments, session.fixed, plan.grows
        source = position * size_in
        target = position * size_out
        for row in range(position, stop):
            progress[0] = row + 1
            memory[buffer_in] = inputs[source : source + size_in]
            for place, bits in fixed:
                arguments[place] = bits
            invoke()
            if grows:
                session.refresh()
                memory = session.memory
            outputs[target : target + size_out] = memory[buffer_out]
            status[row] = RETURNED
            source += size_in
            target += size_out
        return stop

    def _run_watched(self, position, stop):
        """
        The general loop: scalar slots, results, and whatever the level asks for.
        """
        session, plan = self.session, self.plan
        inputs, outputs, arguments = self.inputs, self.outputs, session.arguments
        size_in, size_out = plan.size_in, plan.size_out
        watched = self.level != "result"
        # A view of memory that has moved must not be written through either.
        refreshed = plan.memory_name is not None and (
            (plan.grows and (size_in or size_out)) or watched
        )
        for row in range(position, stop):
            self.progress[0] = row + 1
            source = row * self.in_bytes
            target = row * self.out_bytes
            if self.metered:
                session.instance.refuel()
            if size_in:
                start = source + self.slot_bytes
                session.memory[session.at_in : session.at_in + size_in] = inputs[
                    start : start + size_in
                ]
            for place, bits in session.fixed:
                arguments[place] = bits
            for place, index in plan.slots:
                start = source + 8 * index
                arguments[place] = int.from_bytes(inputs[start : start + 8], "little")
            session.invoke()
            outcome = session.outcome
            values = [int(outcome[index]) & mask for index, mask in enumerate(plan.masks)]
            if refreshed:
                session.refresh()
            if plan.out_by_result:
                session.at_out = values[0] & 0xFFFFFFFF
                session.inside(session.at_out, size_out)
            for bits in values:
                outputs[target : target + 8] = bits.to_bytes(8, "little")
                target += 8
            if size_out:
                outputs[target : target + size_out] = session.memory[
                    session.at_out : session.at_out + size_out
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
            start = row * 8 * len(self.plan.globals)
            for name in self.plan.globals:
                bits = session.instance.global_bits(name)
                arrays["globals"][start : start + 8] = bits.to_bytes(8, "little")
                start += 8
        if self.metered and "gas" in arrays:
            used = session.instance.fuel_used()
            arrays["gas"][8 * row : 8 * row + 8] = used.to_bytes(8, "little")
