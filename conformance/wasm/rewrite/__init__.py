"""
Rewrites: a valid module in, an instrumented one out, whose semantics are otherwise the same.

A rewrite is an instrument of a run with an id, never another module. Knows what `conformance.wasm`
knows, and nothing of engines or votes.
"""
