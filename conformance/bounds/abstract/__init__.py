"""
Abstract execution of one call: all inputs of a precondition at once, on values that may be sets.

It follows control as an engine does, and waits where paths meet. What it finds is a guide for the
proof and a second opinion about it, never a bound. Knows modules, gas models and preconditions;
must not know solvers, certificates' proofs or engines.
"""
