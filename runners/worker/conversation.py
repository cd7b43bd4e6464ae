"""
What a worker says and hears while a host function runs (PROTOCOL.md, "Host calls").
"""

import os
from collections import deque
from struct import pack, unpack

from stop import TRAP_HOST, Refused, Stop
from wire import read_frame, write_frame


class Import(object):
    """
    An imported function: its names, its types, and `answer`, which an engine's function calls.
    """

    def __init__(self, conversation, described):
        self.module = described["module"]
        self.name = described["name"]
        self.parameters = tuple(described["parameters"])
        self.results = tuple(described["results"])
        self.conversation = conversation

    def answer(self, arguments):
        """
        Results' bits for the arguments' bits, both in order; raises Stop to end the case.

        An engine must end the guest's call then, in whatever way it can: what was raised is kept,
        and takes the place of what the engine says.
        """
        try:
            return self.conversation.call(self, arguments)
        except BaseException as error:
            self.conversation.pending = error
            raise


class Conversation(object):
    """
    The pipes, the command that is being served, and the instance that runs.
    """

    def __init__(self, commands, replies):
        self.commands = commands
        self.replies = replies
        self.postponed = deque()
        self.identifier = None
        self.progress = None
        self.instance = None
        self.memory_name = None
        self.bound = {}
        self.pending = None
        self.hosted = False

    def next_command(self):
        """
        The next command: one that came while another was served, or the next of the pipe.
        """
        if self.postponed:
            return self.postponed.popleft()
        return read_frame(self.commands)

    def runs(self, instance, memory_name):
        """
        Host calls come from this instance from now on; None while one is being opened.
        """
        if instance is not self.instance:
            self.instance = instance
            self.bound = {}
        self.memory_name = memory_name

    def reason(self, end):
        """
        What ended a guest's call: the Stop that the engine gave, or what was raised in a host call.
        """
        pending, self.pending = self.pending, None
        if pending is None:
            return end
        if isinstance(pending, Stop):
            return pending
        raise pending

    def call(self, function, arguments):
        """
        Ask the controller, and serve its steps until it answers.
        """
        header = {
            "id": self.identifier,
            "turn": "host_call",
            "module": function.module,
            "name": function.name,
            "row": None if self.progress is None else self.progress[0] - 1,
        }
        write_frame(self.replies, header, [pack("<%dQ" % len(arguments), *arguments)])
        trapped = None
        while True:
            header, blobs = self.next_turn()
            turn = header["turn"]
            if turn == "host_return":
                return unpack("<%dQ" % len(function.results), blobs[0])
            if turn == "host_trap":
                if trapped is not None and 48 <= trapped.status < 64:
                    raise trapped
                raise Stop(TRAP_HOST, header["text"])
            reply = {"id": self.identifier, "turn": turn, "ok": True}
            out = []
            try:
                out = getattr(self, turn)(header, blobs)
            except Refused as refused:
                del reply["ok"]
                reply["error"] = {
                    "stage": refused.stage,
                    "rule": refused.rule,
                    "text": refused.text[:500],
                }
            except Stop as stop:
                trapped = stop
                del reply["ok"]
                rule = "status-%d" % stop.status
                reply["error"] = {"stage": "trap", "rule": rule, "text": stop.text[:200]}
            write_frame(self.replies, reply, out)

    def next_turn(self):
        """
        The next frame of this conversation; commands that come before it wait.
        """
        while True:
            frame = read_frame(self.commands)
            if frame is None:
                os._exit(0)
            if frame[0].get("to") == self.identifier:
                return frame
            self.postponed.append(frame)

    def window(self, address, size):
        """
        Memory as it lies now, once [address, address + size) is known to be in it.
        """
        if self.instance is None:
            raise Refused("memory", "none", "the instance is not open yet")
        if self.memory_name is None:
            raise Refused("memory", "none", "the module exports no memory")
        memory = self.instance.memory(self.memory_name)
        if address < 0 or size < 0 or address + size > len(memory):
            text = "%d+%d beyond memory of %d bytes" % (address, size, len(memory))
            raise Refused("memory", "out-of-bounds", text)
        return memory

    def peek(self, header, blobs):
        """
        Read memory.
        """
        address, size = header["address"], header["size"]
        memory = self.window(address, size)
        return [bytes(memory[address : address + size])]

    def poke(self, header, blobs):
        """
        Write memory.
        """
        address, data = header["address"], blobs[0]
        memory = self.window(address, len(data))
        memory[address : address + len(data)] = data
        return []

    def grow(self, header, blobs):
        """
        Grow memory; the pages before, or -1 as an unsigned i32 if growth is refused.
        """
        self.window(0, 0)
        return [pack("<Q", self.instance.grow(self.memory_name, header["pages"]) & 0xFFFFFFFF)]

    def reenter(self, header, blobs):
        """
        Call an export.
        """
        if self.instance is None:
            raise Refused("entry", "none", "the instance is not open yet")
        parameters, results = tuple(header["parameters"]), tuple(header["results"])
        name = header["export"]
        if name not in self.bound:
            try:
                self.bound[name] = self.instance.bind(name, parameters, results)
            except Stop as stop:
                raise Refused("entry", "none", stop.text)
        invoke, arguments, outcome = self.bound[name]
        for position, bits in enumerate(unpack("<%dQ" % len(parameters), blobs[0])):
            arguments[position] = bits
        try:
            invoke()
        except Stop as stop:
            raise self.reason(stop)
        masks = [0xFFFFFFFF if kind in ("i32", "f32") else (1 << 64) - 1 for kind in results]
        values = [int(outcome[index]) & mask for index, mask in enumerate(masks)]
        return [pack("<%dQ" % len(values), *values)]
