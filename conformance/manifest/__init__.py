"""
Reads what an author says about a module, and the tables of bits that go with it.

Knows TOML, JSON and the records of a call. Must not know engines, processes or verdicts.
"""
