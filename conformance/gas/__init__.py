"""
Gas: what chains and engines charge for executing a module, as data; and counters for any of it.

Knows the binary format and gas models. Must not know engines, processes, profiles or bounds.
"""
