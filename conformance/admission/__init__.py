"""
What a chain lets in: its limits, read from files that say where each value comes from.

This room must not know engines or runs: it compares what was proved with what is allowed.
"""
