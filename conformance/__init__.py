"""
How a module is judged: binary format, manifests, cases, vote, oracle and evidence.

Knows records and outcomes. Must not know processes or clocks; only `evidence/` touches files.
"""
