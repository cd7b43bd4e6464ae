from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from pool_samples import LIMITS, MODULE, block_of

from runners import cell
from runners.arena import Arena
from runners.cell import CellLimits, CellProcess, kill_cell, signal_name, start_cell
from runners.pool import Pool
from runners.records import Node
from tests.fakes.launches import launch_of, seat_of


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def claims_of(limits: CellLimits, node: Node | None = None) -> dict[str, set[str]]:
    launch = launch_of("tells_its_cell")
    launch = msgspec.structs.replace(launch, environment=(("FROM_CATALOGUE", "yes"),))
    with Pool([(node or Node(launch.engine), launch)], limits=limits) as pool:
        pool.identities()
        found: dict[str, set[str]] = {}
        for claim in pool.capabilities(0):
            kind, _, value = claim.partition(":")
            found.setdefault(kind, set()).add(value.strip())
        return found


def test_the_cell_is_bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the controller")
    seen = claims_of(CellLimits(data_mib=512, files=64, start_deadline_ms=20_000))
    names = {pair.partition("=")[0] for pair in seen["env"]}
    assert names == {"RUST_BACKTRACE", "RAYON_NUM_THREADS", "LC_ALL", "FROM_CATALOGUE"}
    assert seen["core"] == {"0"}
    assert seen["data"] == {str(512 << 20)}
    assert seen["files"] == {"64"}
    assert seen["NoNewPrivs"] == {"1"}
    assert seen["session"] == {"True"}
    assert seen["stdin"] == {"/dev/null"}
    # 0, 1, 2, the worker's three, the copy that its mmap makes, and the one that lists the folder.
    assert len(seen["descriptor"]) == 8


def test_a_node_adds_its_own_environment() -> None:
    node = Node(launch_of("tells_its_cell").engine, environment=(("TZ", "Asia/Tokyo"),))
    assert "TZ=Asia/Tokyo" in claims_of(LIMITS, node)["env"]


def kernel_gives_network_namespaces() -> bool:
    libc = ctypes.CDLL(None)
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.unshare(0x40000000) == 0 or libc.unshare(0x50000000) == 0 else 1)
    return os.waitpid(child, 0)[1] == 0


def test_there_is_no_network_where_the_kernel_lets_us() -> None:
    outside = claims_of(CellLimits(no_network=False, start_deadline_ms=20_000))["interface"]
    inside = claims_of(LIMITS)["interface"]
    if kernel_gives_network_namespaces():
        assert inside == {"lo"}
    else:
        assert inside == outside


def test_a_program_that_is_not_there_leaves_no_descriptor_open() -> None:
    arena = Arena(1 << 16)
    before = open_descriptors()
    launch = msgspec.structs.replace(launch_of("honest"), argv=("/nowhere/worker",))
    with pytest.raises(FileNotFoundError):
        start_cell(launch, LIMITS, arena.descriptor)
    assert open_descriptors() == before
    arena.close()


def test_a_start_that_fails_leaves_no_descriptor_open(monkeypatch: pytest.MonkeyPatch) -> None:
    arena = Arena(1 << 16)
    before = open_descriptors()
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError):
        start_cell(launch_of("honest"), LIMITS, arena.descriptor)
    assert open_descriptors() == before
    arena.close()


def test_signals_have_names() -> None:
    assert signal_name(-11) == "SIGSEGV"
    assert signal_name(-200) == "signal 200"


def has_gone(process: int) -> bool:
    """
    Whether a process that is not our child is gone, or is a corpse that nobody has reaped.
    """
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def await_end(process: int) -> bool:
    """
    Wait until a process ends, 10 s at most; False if it does not.
    """
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def test_nothing_is_left_when_a_pool_closes(tmp_path: Path) -> None:
    before = open_descriptors()
    seats = [seat_of("honest"), seat_of("starts_a_child", child=tmp_path / "child")]
    with Pool(seats, limits=LIMITS) as pool:
        pool.identities()
        started = [seat.worker.cell.process.pid for seat in pool.seats if seat.worker]
        child = int((tmp_path / "child").read_text())
        assert len(started) == 2
        assert not any(has_gone(process) for process in [*started, child])
    assert all(await_end(process) for process in [*started, child])
    assert open_descriptors() == before


def test_nothing_is_left_when_a_pool_closes_on_an_error() -> None:
    started: list[int] = []

    def interrupted() -> None:
        with Pool([seat_of("hangs", at=1.0)], limits=LIMITS) as pool:
            pool.add_module(MODULE, b"")
            pool.identities()
            pool.submit(0, MODULE, block_of([1.0]))
            started.extend(seat.worker.cell.process.pid for seat in pool.seats if seat.worker)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(started) == 1
    assert await_end(started[0])


CONTROLLER = """
import sys
from pool_samples import LIMITS, MODULE, block_of
from runners.pool import Pool
from tests.fakes.launches import seat_of

with Pool([seat_of("honest"), seat_of("hangs", at=1.0)], limits=LIMITS) as pool:
    pool.add_module(MODULE, b"")
    pool.identities()
    for seat in pool.seats:
        print(seat.worker.cell.process.pid, flush=True)
    pool.run(1, MODULE, block_of([1.0], deadline_ms=600_000))
"""


def test_workers_die_with_a_controller_that_is_killed() -> None:
    folder = Path(__file__).parent
    controller = subprocess.Popen(
        [sys.executable, "-B", "-c", CONTROLLER],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{folder}:{folder.parents[1]}"},
    )
    with controller:
        assert controller.stdout is not None
        workers = [int(controller.stdout.readline()) for _ in range(2)]
        assert not any(has_gone(worker) for worker in workers)
        controller.send_signal(signal.SIGKILL)
        assert all(await_end(worker) for worker in workers)


def test_a_worker_whose_controller_is_gone_already_does_not_start() -> None:
    launcher = Path(cell.__file__).with_name("cell_launcher.py")
    for controller, status in ((1, 1), (os.getpid(), 0)):
        settings = {"controller": controller, "no_network": False}
        text = json.dumps({**settings, "environment": {}, "rlimits": {}})
        argv = [sys.executable, "-I", "-S", str(launcher), text, "/bin/true"]
        assert subprocess.run(argv, check=False).returncode == status


def test_killing_a_cell_that_has_ended_already_returns_its_status() -> None:
    arena = Arena(1 << 16)
    launch = msgspec.structs.replace(launch_of("honest"), argv=("true",))
    started: CellProcess = start_cell(launch, LIMITS, arena.descriptor)
    assert started.process.wait(timeout=20) == 0
    assert kill_cell(started) == 0
    arena.close()
