"""
The reference evaluator: executes the specification in integers, and nothing of the host's floats.

Knows modules, the chapters "Execution" and "Numerics", and the deterministic profile of
WebAssembly 3.0. Must not know engines, processes, files or outcomes. Standard library only,
because it is packed into a worker of its own. SIMD is refused.
"""
