"""
What the pool costs per case: time through workers against the engine's bare calls.

Run as `python benchmarks/pool_overhead.py [ENGINE ...]`; every engine must be installed. Figures
are minima of several short runs. Where the machine is shared, CPU time tells more than wall time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from conformance.differential.fpu import PROBE_CALL, PROBE_WASM, PROBES, probe_inputs, probe_outputs
from conformance.manifest.calls import build_call
from conformance.manifest.read import read_manifest
from runners.blocks import CaseBlock
from runners.environments import Environments
from runners.launch import Launch
from runners.pool import Pool
from runners.probe import Probe
from runners.records import Budget, Call, Level, Node
from runners.status import Status

HERE = Path(__file__).parents[1]
SMALL = HERE / "vectors" / "bench" / "bench-mlp-16-52-10"
LARGE = HERE / "vectors" / "bench" / "bench-mlp-784-128-10"
ROUNDS = 7


def load(folder: Path) -> tuple[bytes, Call]:
    """
    A model's bytes and how its entry is called.
    """
    manifest = read_manifest(folder / "model.toml")
    call = build_call(manifest, memory="memory", grows=False)
    return (folder / "model.wasm").read_bytes(), call


def block_of(call: Call, count: int) -> CaseBlock:
    """
    Cases with inputs in [-1, 1) drawn from a fixed seed.
    """
    draws = np.random.default_rng(1).uniform(-1, 1, (count, call.input_bytes // 8))
    inputs = draws.astype("<f8").view(np.uint8).reshape(count, call.input_bytes)
    return CaseBlock(call, Budget(), Level.RESULT, np.arange(count, dtype=np.uint64), inputs)


def best_of(rounds: int, measured: Callable[[], float]) -> float:
    """
    The least of several measurements.
    """
    return min(measured() for _ in range(rounds))


def pool_us(
    nodes: list[tuple[Node, Launch]], wasm: bytes, call: Call, count: int, probe: Probe | None
) -> list[float]:
    """
    Microseconds per input put to all nodes: wall, CPU of the controller, CPU of all workers.
    """
    sha256 = hashlib.sha256(wasm).hexdigest()
    block = block_of(call, count)
    with Pool(nodes, probe=probe) as pool:
        pool.add_module(sha256, wasm)
        pool.identities()
        for seat in range(len(nodes)):
            pool.run(seat, sha256, block_of(call, 2))
        workers = [seat.worker.cell.process.pid for seat in pool.seats if seat.worker]
        figures = []
        for _ in range(ROUNDS):
            start = (time.perf_counter(), time.process_time(), workers_cpu_s(workers))
            for _ in range(4):
                for seat in range(len(nodes)):
                    pool.submit(seat, sha256, block)
            for completion in pool.drain():
                if completion.outcome.status.min() != Status.RETURNED:
                    sys.exit("a case of the benchmark did not return")
            end = (time.perf_counter(), time.process_time(), workers_cpu_s(workers))
            figures.append([(b - a) / (4 * count) * 1e6 for a, b in zip(start, end, strict=True)])
    return [min(column) for column in zip(*figures, strict=True)]


def workers_cpu_s(workers: list[int]) -> float:
    """
    Seconds of CPU that these processes have had.
    """
    return sum(
        int(Path(f"/proc/{worker}/schedstat").read_text().split()[0]) / 1e9 for worker in workers
    )


def adapter(name: str) -> Any:
    """
    An engine file as a module of this process.
    """
    sys.path.insert(0, str(HERE / "runners" / "worker"))
    path = HERE / "runners" / "engines" / f"{name}.py"
    spec = importlib.util.spec_from_file_location("adapter", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bare_us(wasm: bytes, call: Call, count: int) -> float:
    """
    Microseconds of one bare call of wasmtime, in this process, nothing copied.
    """
    engine = adapter("wasmtime").Engine()
    module = engine.load(wasm, {"compiler": "cranelift"}, "native", 512, metered=False)
    instance = engine.open(module, None, pooled=False)
    for name in call.initialize:
        instance.bind(name, (), ())[0]()
    invoke, _, _ = instance.bind(call.entry, ("i32",) * len(call.arguments), ())

    def measured() -> float:
        start = time.process_time()
        for _ in range(count):
            invoke()
        return (time.process_time() - start) / count * 1e6

    return best_of(ROUNDS, measured)


def fpu_probe() -> Probe:
    """
    The probe that a certification puts beside every batch.
    """
    ids = np.arange(len(PROBES), dtype=np.uint64)
    block = CaseBlock(PROBE_CALL, Budget(), Level.RESULT, ids, probe_inputs())
    return Probe(hashlib.sha256(PROBE_WASM).hexdigest(), PROBE_WASM, block, probe_outputs())


def main() -> None:
    """
    Print the figures.
    """
    environments = Environments()
    names = sys.argv[1:] or ["wasmtime"]
    engines = [environments.catalog.resolve(name) for name in names]
    launches = [environments.launch(engine) for engine in engines]
    small, large = load(SMALL), load(LARGE)
    print(f"bare wasmtime/cranelift: small {bare_us(*small, 2000):.2f} us,"
          f" large {bare_us(*large, 100):.1f} us")  # fmt: skip
    for label, policy, (wasm, call), count, probe in (
        ("small", "reuse(64)", small, 8192, None),
        ("small, probed", "reuse(64)", small, 8192, fpu_probe()),
        ("small, blocks of 256", "reuse(64)", small, 256, None),
        ("large", "reuse(64)", large, 256, None),
        ("small", "fresh", small, 2048, None),
    ):
        for group in [[index] for index in range(len(engines))] + (
            [list(range(len(engines)))] if len(engines) > 1 else []
        ):
            nodes = [(Node(engines[i], policy=policy), launches[i]) for i in group]
            wall, own, workers = pool_us(nodes, wasm, call, count, probe)
            who = " + ".join(str(engines[i]) for i in group)
            print(f"{label}, {policy}, {who}: {wall:.2f} us an input, {1e6 / wall:,.0f} inputs/s,"
                  f" CPU us: controller {own:.2f}, workers {workers:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
