"""
The oracle: which bits a module ought to give, computed without any engine.

Declared semantics in strict order, software floats, correctly rounded functions. Must not know
engines, nodes, or how a module's source was written.
"""
