"""
The command loop of a Python worker: reads frames, serves them one after the other.
"""

import mmap
import os
import platform
import sys
from hashlib import sha256

from batch import BadCommand, Batch
from conversation import Conversation, Import
from held import HeldInstance
from stop import Refused, Stop
from wire import write_frame

PROTOCOL = 1
STAGES = {64: "compile", 65: "instantiate", 66: "entry"}


def cpu_features():
    """
    SHA-256 over the CPU's feature flags, as the kernel lists them.
    """
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as text:
            for line in text:
                if line.startswith(("flags", "Features")):
                    words = sorted(line.partition(":")[2].split())
                    return sha256(" ".join(words).encode("ascii")).hexdigest()
    except OSError as error:
        return "unknown: %s" % (error.strerror,)
    return "unknown: no flags listed"


def interpreter():
    """
    Name and version of the Python that runs this worker.
    """
    return "%s %s" % (platform.python_implementation(), platform.python_version())


class WorkerFault(Exception):
    """
    A fault of this worker while a batch ran: neither an outcome of the case nor a refusal.

    Nothing answers it; the worker ends, and `progress` tells at which case.
    """


class Worker(object):
    """
    State of one worker: its engine, loaded modules and named instances.
    """

    def __init__(self, engine, arena_descriptor, conversation):
        self.engine = engine
        self.conversation = conversation
        size = os.fstat(arena_descriptor).st_size
        self.arena = memoryview(mmap.mmap(arena_descriptor, size))
        self.sources = {}
        self.modules = {}
        self.instances = {}

    def hello(self, header, blobs):
        """
        Who this is.
        """
        reply = {
            "protocol": PROTOCOL,
            "engine": self.engine.name,
            "interpreter": interpreter(),
            "cpu_features_sha256": cpu_features(),
            "capabilities": list(self.engine.capabilities),
        }
        reply.update(self.engine.identity())
        return reply

    def load(self, header, blobs):
        """
        Compile the form of a module that its first calls need; the other one when it is asked for.
        """
        if len(blobs) != 1:
            raise BadCommand("load takes one blob")
        imports = [Import(self.conversation, item) for item in header.get("imports", ())]
        source = (blobs[0], header["settings"], header["cpu"], header["memory_pages"], imports)
        name = header["module"]
        self.conversation.hosted = self.conversation.hosted or bool(imports)
        self.forget(name)
        metered = self.is_metered(header)
        self.modules[name, metered] = self.engine.load(*source, metered=metered)
        self.sources[name] = source
        return {}

    def forget(self, name):
        """
        Drop a module and what was made of it.
        """
        self.sources.pop(name, None)
        for metered in (False, True):
            self.modules.pop((name, metered), None)

    def module(self, name, metered):
        """
        A loaded module.
        """
        if name not in self.sources:
            raise Refused("protocol", "unknown-module", name)
        if (name, metered) not in self.modules:
            self.modules[name, metered] = self.engine.load(*self.sources[name], metered=metered)
        return self.modules[name, metered]

    def is_metered(self, header):
        """
        Whether a command asks for the engine's meter, and there is one.
        """
        asked = header.get("level") == "full" or header.get("fuel") is not None
        return asked and "fuel" in self.engine.capabilities

    def call(self, header, blobs):
        """
        Run a batch, in instances of its own or in a named one.
        """
        held = None
        if header.get("instance") is None:
            metered = self.is_metered(header)
            module = self.module(header["module"], metered)
            pooled = header["policy"] == "pooled"
            fuel = header.get("fuel")
        else:
            held = self.held(header)
            metered = held.metered
            if held.spent is not None:
                raise Refused("protocol", "spent-instance", held.spent)

        def open_instance():
            return self.engine.open(module, fuel, pooled)

        batch = Batch(self.arena, header, open_instance, metered, self.conversation, held)
        wanted = set(batch.arrays)
        missing = {}
        if "gas" in wanted and not metered:
            wanted.discard("gas")
            can_meter = "fuel" in self.engine.capabilities
            unmetered = "the instance was opened without its meter"
            missing["gas"] = unmetered if can_meter else "the engine has no meter"
        if not header["call"].get("memory"):
            for name in ("memory", "pages"):
                if name in wanted:
                    wanted.discard(name)
                    missing[name] = "the module exports no memory"
        try:
            batch.run()
        except (BadCommand, KeyError, TypeError, IndexError) as error:
            raise WorkerFault("%s: %s" % (type(error).__name__, error)) from error
        finally:
            self.conversation.progress = None
            self.conversation.runs(None, None)
        return {
            "filled": sorted(wanted),
            "not_observed": missing,
            "meter": self.engine.meter() if metered else "",
            "details": batch.details,
        }

    def open_instance(self, header, blobs):
        """
        Open a named instance.
        """
        metered = self.is_metered(header)
        module = self.module(header["module"], metered)
        conversation = self.conversation
        try:
            instance = self.engine.open(module, header.get("fuel"), False)
            conversation.runs(instance, header["call"].get("memory"))
            held = HeldInstance(instance, header["call"], metered)
        except Stop as stop:
            stop = conversation.reason(stop)
            raise Refused(STAGES.get(stop.status, "instantiate"), "trap", stop.text)
        finally:
            conversation.runs(None, None)
        self.drop({"instance": header["instance"]}, ())
        self.instances[header["instance"]] = held
        return {}

    def held(self, header):
        """
        A named instance.
        """
        held = self.instances.get(header["instance"])
        if held is None:
            raise Refused("protocol", "unknown-instance", str(header["instance"])[:100])
        return held

    def session(self, header):
        """
        The session that a named instance was opened with.
        """
        session = self.held(header).first
        if session.memory_name is None:
            raise Refused("memory", "none", "the module exports no memory")
        session.refresh()
        return session

    def window(self, header, size):
        """
        The named instance's memory, once [address, address + size) is known to lie in it.
        """
        session = self.session(header)
        address = header["address"]
        if address < 0 or size < 0 or address + size > len(session.memory):
            raise Refused("memory", "out-of-bounds", "%d+%d" % (address, size))
        return session.memory, address

    def peek(self, header, blobs):
        """
        Read memory.
        """
        memory, address = self.window(header, header["size"])
        reply = {"memory_bytes": len(memory)}
        return reply, [bytes(memory[address : address + header["size"]])]

    def poke(self, header, blobs):
        """
        Write memory.
        """
        if len(blobs) != 1:
            raise BadCommand("poke takes one blob")
        memory, address = self.window(header, len(blobs[0]))
        memory[address : address + len(blobs[0])] = blobs[0]
        return {}

    def drop(self, header, blobs):
        """
        Let go of a module or a named instance.
        """
        if "instance" in header:
            held = self.instances.pop(header["instance"], None)
            if held is not None:
                held.close()
        else:
            self.forget(header.get("module"))
        return {}


COMMANDS = ("hello", "load", "open_instance", "call", "peek", "poke", "drop")


def answer(worker, header, blobs):
    """
    Carry out one command; returns (reply without id, blobs).
    """
    name = header.get("command")
    try:
        if name not in COMMANDS:
            raise Refused("protocol", "unknown-command", str(name)[:100])
        reply = getattr(worker, name)(header, blobs)
        reply, out = reply if isinstance(reply, tuple) else (reply, [])
        reply["ok"] = True
        return reply, out
    except Refused as refused:
        error = {"stage": refused.stage, "rule": refused.rule, "text": refused.text[:500]}
    except (BadCommand, KeyError, TypeError, IndexError) as bad:
        text = "%s: %s" % (type(bad).__name__, bad)
        error = {"stage": "protocol", "rule": "bad-command", "text": text[:500]}
    return {"error": error}, []


def main(engine_class, argv):
    """
    Serve until `bye` or until the controller has gone.
    """
    if not __debug__:
        sys.stderr.write("a worker must not run under python -O: engines parse in assertions\n")
        return 3
    commands, replies, arena = (int(text) for text in argv[-3:])
    conversation = Conversation(commands, replies)
    worker = Worker(engine_class(), arena, conversation)
    while True:
        frame = conversation.next_command()
        if frame is None:
            return 0
        header, blobs = frame
        if header.get("command") == "bye":
            write_frame(replies, {"id": header.get("id"), "ok": True})
            return 0
        conversation.identifier = header.get("id")
        reply, out = answer(worker, header, blobs)
        reply["id"] = header.get("id")
        write_frame(replies, reply, out)
