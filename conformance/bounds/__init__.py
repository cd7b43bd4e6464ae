"""
The most a call can cost, for every input: gas, memory pages and stack, with a certificate.

Knows modules, gas models and solvers. Must not know engines, except that the checker replays the
inputs of a certificate on one. Nothing in `check/` may import what finds bounds.
"""
