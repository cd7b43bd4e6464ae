"""
The store of outcomes: one SQLite file that is cache, resume point and source of every report.

Knows files, records and outcomes. Must not know engines, processes, verdicts or clocks; no other
room writes the file.
"""
