"""
A subject that the fakes answer honestly: out[0] = x[0] * x[1], out[1] = calls of the instance.

The module does the same as `tests/fakes/honest.py`, so engines and fakes may vote together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wasmtime
from numpy.typing import NDArray

from conformance.manifest.tables import table_of, write_tables

# 7 as bits: a float constant of the module would become an edge value, and x[0] = 7 traps.
_WAT = """
(module
  (memory (export "memory") 1)
  (global $calls (mut f64) (f64.const 0))
  %s
  (func (export "infer")
    (if (i64.eq (i64.load (i32.const 0)) (i64.const 0x401C000000000000))
      (then unreachable))
    (global.set $calls (f64.add (global.get $calls) (f64.const 1)))
    (f64.store (i32.const 64) (f64.mul (f64.load (i32.const 0)) (f64.load (i32.const 8))))
    (f64.store (i32.const 72) (global.get $calls))))
"""
_SIMD = "(func (drop (i32x4.splat (i32.const 1))))"

SEMANTICS = "def infer(x):\n    return [x[0] * x[1], 1.0]\n"
"""What the module computes when every call has its own instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """
    What a test wants of the subject.
    """

    low: float = 0.5
    high: float = 2.0
    special: bool = False
    instances: str = "fresh"
    nan: str = "exact"
    simd: bool = False
    semantics: str = ""
    """The declared program; empty: none is declared."""
    rows: tuple[tuple[float, float], ...] = ()
    labels: tuple[float, ...] = ()
    expected: tuple[tuple[float, float], ...] = ()
    judge: str = ""
    """Further lines of `[judge]`."""

    def write(self, folder: Path) -> Path:
        """
        Write module, manifest and tables into *folder*, and return it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        wasm = bytes(wasmtime.wat2wasm(_WAT % (_SIMD if self.simd else "")))
        (folder / "model.wasm").write_bytes(wasm)
        tables = {
            name: table_of("f64", _bits(np.array(values, "<f8").reshape(len(values), -1)))
            for name, values in (
                ("inputs", self.rows),
                ("labels", self.labels),
                ("expected", self.expected),
            )
            if values
        }
        if tables:
            write_tables(folder / "rows.json", tables)
        if self.semantics:
            (folder / "model.semantics").write_text(self.semantics, encoding="utf-8")
        (folder / "model.toml").write_text(self._manifest(wasm), encoding="utf-8")
        return folder

    def _manifest(self, wasm: bytes) -> str:
        program = 'class = "program"\nprogram = "model.semantics"\n'
        return f"""\
schema = 1
[module]
name = "product"
file = "model.wasm"
sha256 = "{hashlib.sha256(wasm).hexdigest()}"
[abi]
kind = "plain"
entry = "infer"
instances = "{self.instances}"
[input]
dtype = "f64"
shape = [2]
pointer = {{ address = 0 }}
low = {self.low!r}
high = {self.high!r}
special = {str(self.special).lower()}
{'rows = "rows.json"' if self.rows else ""}
[output]
dtype = "f64"
shape = [2]
pointer = {{ address = 64 }}
{'expected = "rows.json"' if self.expected else ""}
[limits]
pages = 16
deadline_ms = 20000
[judge]
nan = "{self.nan}"
{self.judge}
{"[semantics]" if self.semantics else ""}
{program if self.semantics else ""}
"""


def _bits(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(values).view("<u8").astype(np.uint64)
