"""
The reference evaluator: executes the specification in integers, and nothing of the host's floats.

Knows modules, the chapters "Execution" and "Numerics", and the deterministic profile of
WebAssembly 3.0. Must not know engines, processes, files or outcomes. Standard library only,
because it is packed into a worker of its own. SIMD is refused.
"""

VERSION = "0.1.0"
"""The package version of the engine `reference`; a change of any result needs a new one."""
