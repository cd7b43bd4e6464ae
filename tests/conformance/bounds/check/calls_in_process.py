"""
Runs certificates' inputs with wasmtime inside the test's own process.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import wasmtime

from conformance.bounds.certificate import Input
from runners.hosts.host import Host, HostCall, HostMaker, Peek, Poke, Reenter, Step, StepReply


@dataclass(frozen=True)
class InProcessRun:
    returned: bool
    globals: Mapping[str, int]
    store: wasmtime.Store
    memory: wasmtime.Memory | None

    def peek(self, address: int, size: int) -> bytes:
        assert self.memory is not None
        return bytes(self.memory.read(self.store, address, address + size))


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


@dataclass
class Served:
    """
    Imports that a host answers, step by step, in the test's own process.
    """

    store: wasmtime.Store
    host: Host
    exports: Any = None

    def imports(self, module: wasmtime.Module) -> list[wasmtime.Func]:
        return [
            wasmtime.Func(self.store, item.type, self._function(item), access_caller=True)
            for item in module.imports
            if isinstance(item.type, wasmtime.FuncType)
        ]

    def _function(self, item: wasmtime.ImportType) -> Callable[..., Any]:
        kind = item.type
        assert isinstance(kind, wasmtime.FuncType)
        parameters = tuple(str(k) for k in kind.params)
        results = tuple(str(k) for k in kind.results)

        def called(caller: wasmtime.Caller, *arguments: Any) -> Any:
            bits = tuple(
                _bits(value, name) for value, name in zip(arguments, parameters, strict=True)
            )
            call = HostCall(item.module, item.name or "", parameters, results, bits)  # type: ignore[arg-type]
            found = self._answered(caller, call)
            values = [_value(number, name) for number, name in zip(found, results, strict=True)]
            return values[0] if len(values) == 1 else (values or None)

        return called

    def _answered(self, caller: wasmtime.Caller, call: HostCall) -> tuple[int, ...]:
        answer = self.host.answer(call)
        reply: StepReply = None
        while True:
            try:
                step = answer.send(reply)
            except StopIteration as end:
                return tuple(end.value)
            reply = self._step(caller, step)

    def _step(self, caller: wasmtime.Caller, step: Step) -> StepReply:
        memory = next(m for m in self.exports.values() if isinstance(m, wasmtime.Memory))
        if isinstance(step, Peek):
            return bytes(memory.read(caller, step.address, step.address + step.size))
        if isinstance(step, Poke):
            memory.write(caller, step.data, step.address)
            return None
        assert isinstance(step, Reenter)
        function = self.exports[step.export]
        kinds = [str(kind) for kind in function.type(caller).params]
        found = function(
            caller, *[_value(n, kind) for n, kind in zip(step.arguments, kinds, strict=True)]
        )
        names = [str(kind) for kind in function.type(caller).results]
        return tuple(_bits(value, name) for value, name in zip([found], names, strict=False))


def _bits(value: Any, kind: str) -> int:
    if kind.startswith("f"):
        return int.from_bytes(struct.pack("<f" if kind == "f32" else "<d", value), "little")
    return int(value) & ((1 << int(kind[1:])) - 1)


def _value(bits: int, kind: str) -> Any:
    if kind.startswith("f"):
        form = "<f" if kind == "f32" else "<d"
        return struct.unpack(form, bits.to_bytes(int(kind[1:]) // 8, "little"))[0]
    return _signed(bits, int(kind[1:]))


@dataclass
class InProcess:
    engine: wasmtime.Engine = field(default_factory=wasmtime.Engine)
    modules: dict[str, wasmtime.Module] = field(default_factory=dict)

    @contextmanager
    def __call__(
        self,
        binary: bytes,
        entry: str,
        given: Input,
        watched: Sequence[str],
        host: HostMaker | None = None,
        initialize: Sequence[str] = (),
    ) -> Iterator[InProcessRun]:
        digest = hashlib.sha256(binary).hexdigest()
        if digest not in self.modules:
            self.modules[digest] = wasmtime.Module(self.engine, binary)
        store = wasmtime.Store(self.engine)
        served = None if host is None else Served(store, host.host())
        imports = [] if served is None else served.imports(self.modules[digest])
        exports = wasmtime.Instance(store, self.modules[digest], imports).exports(store)
        if served is not None:
            served.exports = exports
        for name in initialize:
            before = exports[name]
            assert isinstance(before, wasmtime.Func)
            before(store)
        memories = [item for item in exports.values() if isinstance(item, wasmtime.Memory)]
        memory = memories[0] if memories else None
        for written in given.memory:
            assert memory is not None
            memory.write(store, bytes.fromhex(written.data), written.address)
        called = exports[entry]
        assert isinstance(called, wasmtime.Func)
        kinds = [str(kind) for kind in called.type(store).params]
        arguments = [
            _signed(value, int(kind[1:]))
            for value, kind in zip(given.arguments, kinds, strict=True)
        ]
        try:
            called(store, *arguments)
            returned = True
        except (wasmtime.Trap, wasmtime.WasmtimeError):
            returned = False
        values = {}
        for name in watched:
            item = exports[name]
            assert isinstance(item, wasmtime.Global)
            values[name] = int(item.value(store)) & ((1 << 64) - 1)
        yield InProcessRun(returned, values, store, memory)
