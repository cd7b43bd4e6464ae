"""
Where modules run: records, engine catalogue, environments, protocol, pool and cells.

Knows processes, files and engines. Must not know verdicts, profiles, manifests or reports.
"""
