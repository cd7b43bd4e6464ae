"""
The binary format: decoded with byte offsets, validated, and questioned about imports and calls.

Knows bytes, the specification and the record of a call. Must not know engines, processes, files,
outcomes or profiles.
"""
