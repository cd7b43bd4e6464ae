"""
What is said about a run: pure functions from one report record to text.

Knows the record. Must not know how it came about, engines, clocks or files.
"""
