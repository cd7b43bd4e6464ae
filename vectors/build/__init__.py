"""
How the modules of `vectors/` are made: weights to source, source to wasm, oracle to expected bits.

Knows toolchains and manifests. Must not know engines; only `rebuild` and `toolchains` run programs.
"""
