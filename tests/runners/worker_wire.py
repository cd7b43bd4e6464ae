"""
A worker spoken to by hand: raw frames, two pipes, an arena.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Sequence
from typing import Any

from runners.launch import Launch

ARENA_BYTES = 1 << 16
AT = {"progress": 0, "status": 64, "input": 1024, "output": 8192, "pages": 16384}
AT |= {"memory": 20480, "globals": 24576, "gas": 28672}


def word(bits: int) -> bytes:
    """
    One slot.
    """
    return struct.pack("<Q", bits)


class Wire:
    """
    One worker, its two pipes and its arena.
    """

    def __init__(self, launch: Launch) -> None:
        """
        Start it.
        """
        self.arena = os.memfd_create("arena")
        os.truncate(self.arena, ARENA_BYTES)
        command_read, self.commands = os.pipe()
        self.replies, reply_write = os.pipe()
        descriptors = (command_read, reply_write, self.arena)
        self.process = subprocess.Popen(
            [*launch.argv, *map(str, descriptors)],
            pass_fds=descriptors,
            env=dict(launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        os.close(command_read)
        os.close(reply_write)
        self.next = 1
        self.turns: list[tuple[dict[str, Any], list[bytes]]] = []
        """What the host says next, in order: a turn without `to`, and its blobs."""
        self.heard: list[tuple[dict[str, Any], list[bytes]]] = []
        """Turns of the worker, since whoever looks at them emptied the list."""

    def exactly(self, size: int) -> bytes:
        """
        Read *size* bytes of replies.
        """
        data = b""
        while len(data) < size:
            chunk = os.read(self.replies, size - len(data))
            assert chunk, f"the worker closed its replies; exit status {self.process.poll()}"
            data += chunk
        return data

    def ask(self, command: str, *blobs: bytes, **fields: Any) -> tuple[dict[str, Any], list[bytes]]:
        """
        Send one command and read its one answer.
        """
        self.send(command, *blobs, **fields)
        return self.answer(self.next - 1)

    def send(self, command: str, *blobs: bytes, **fields: Any) -> None:
        """
        Send one command.
        """
        self.write({"id": self.next, "command": command, **fields}, blobs)
        self.next += 1

    def write(self, header: dict[str, Any], blobs: Sequence[bytes]) -> None:
        """
        Send one frame.
        """
        raw = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}).encode()
        os.write(self.commands, struct.pack("<I", len(raw)) + raw + b"".join(blobs))

    def answer(self, identifier: int) -> tuple[dict[str, Any], list[bytes]]:
        """
        Read the answer to a command; the worker's turns before it are answered by `turns`.
        """
        while True:
            reply = json.loads(self.exactly(struct.unpack("<I", self.exactly(4))[0]))
            out = [self.exactly(size) for size in reply.get("blobs", [])]
            assert reply["id"] == identifier
            if "turn" not in reply:
                assert (reply.get("ok") is True) != ("error" in reply)
                return reply, out
            self.heard.append((reply, out))
            header, blobs = self.turns.pop(0)
            self.write({"to": identifier, **header}, blobs)

    def load(self, wasm: bytes, compiler: str, name: str = "m", **more: object) -> dict[str, Any]:
        """
        Load a module with at most eight pages; other keywords are fields of the command.
        """
        fields = {"module": name, "cpu": "native", "memory_pages": 8} | more
        return self.ask("load", wasm, settings={"compiler": compiler}, **fields)[0]

    def call(
        self,
        entry: str,
        rows: list[bytes],
        *,
        parameters: tuple[str, ...] = (),
        results: tuple[str, ...] = (),
        level: str = "result",
        policy: str = "fresh",
        observed: tuple[str, ...] = ("pages", "memory", "globals"),
        instance: str | None = None,
        module: str = "m",
        **more: Any,
    ) -> tuple[dict[str, Any], list[int], list[bytes]]:
        """
        Run a batch with one scalar slot per parameter; returns reply, status bytes, output rows.

        *observed* are the arrays asked for above level `result`.
        Other keywords are fields of the call.
        """
        slots = [{"type": "slot", "index": i, "value_type": t} for i, t in enumerate(parameters)]
        plan: dict[str, Any] = {
            "entry": entry,
            "arguments": slots,
            "results": list(results),
            "initialize": [],
        }
        plan |= {"input": None, "output": None, "memory": "memory", "globals": ["calls"]}
        plan |= {"grows": True, "abi": "plain"} | more
        os.pwrite(self.arena, bytes(ARENA_BYTES), 0)
        os.pwrite(self.arena, b"".join(rows), AT["input"])
        wanted = ["progress", "status", "input", "output"]
        wanted += [] if level == "result" else observed
        reply, _ = self.ask(
            "call", module=module, call=plan, policy=policy, level=level, fuel=None,
            count=len(rows), at={name: AT[name] for name in wanted}, instance=instance,
        )  # fmt: skip
        assert "error" not in reply, reply
        assert struct.unpack("<Q", self.at("progress", 8, 0)) == (len(rows) + 1,)
        size = 8 * len(results) + (plan["output"]["size_bytes"] if plan["output"] else 0)
        outputs = [self.at("output", size, row) for row in range(len(rows))]
        return reply, list(self.at("status", len(rows), 0)), outputs

    def at(self, name: str, size: int, row: int) -> bytes:
        """
        One row of an array of the arena.
        """
        return os.pread(self.arena, size, AT[name] + row * size)

    def close(self) -> None:
        """
        Let the worker go and reap it.
        """
        os.close(self.commands)
        os.close(self.replies)
        os.close(self.arena)
        output = self.process.communicate(timeout=20)[0]
        assert output == b"", "a worker never prints on standard output by itself"
