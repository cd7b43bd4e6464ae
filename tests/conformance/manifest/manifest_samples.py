"""
Manifests that tests start from.
"""

BUFFERS = """\
schema = 1

[module]
name = "mlp"
file = "model.wasm"
description = "a net"

[abi]
kind = "plain"
entry = "infer"
arguments = ["input", "output", "i32:0000000a"]
results = ["i32"]
initialize = ["_initialize"]

[input]
dtype = "f64"
shape = [2, 3]
pointer = { export = "in_ptr" }
low = 0.0
high = 16.0
special = false
rows = "held_out.json"

[output]
dtype = "f32"
shape = [10]
pointer = { allocator = "alloc" }
expected = "expected.json"

[limits]
pages = 17
deadline_ms = 2000
compile_deadline_ms = 3000
fuel = 1000000

[host]
imports = ["env.abort"]

[state]

[reset]
export = "reset"

[semantics]
class = "program"
program = "model.semantics"
weights = "weights.json"
functions = { tanh = "tanh", exp = "exp" }

[judge]
nan = "exact"
tolerance_ulp = 2
accuracy_floor = 0.9
decision = "argmax"

[bounds]
[chain]
"""

CALLS = """\
schema = 1

[module]
name = "operators"

[calls]
expected = "expected.json"
edges = "edges.json"

[[call]]
entry = "f64.min"
parameters = ["f64", "f64"]
results = ["f64"]
carried = true

[[call]]
entry = "mix"
parameters = ["i64", "f32"]
results = ["f32", "i32"]
carried = true
domains = [
  { low = -5, high = 7 },
  { low = -1.0, high = "0x1.8p+3", special = true },
]
"""
