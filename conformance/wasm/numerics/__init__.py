"""
What every scalar operator gives, in integers alone, as the chapter "Numerics" says.

Knows bits. Must not know modules, engines or the host's floats. Standard library only, because it
is packed into the reference evaluator's worker.
"""
