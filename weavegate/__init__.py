"""
The front door: command line, pytest plugin, one file per job a user asks for.

Knows every room. Must not know how an outcome is judged or how an engine is driven.
"""
