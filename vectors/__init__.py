"""
What is run: models with their sources, manifests and expected bits, and their builder.

Knows manifests and the oracle. Must not know engines.
"""
