"""
What is thrown at modules and engines: one file per scenario.

Knows outcomes. Must not know how an outcome is judged.
"""
