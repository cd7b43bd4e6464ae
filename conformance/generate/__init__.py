"""
Modules and inputs made to find differences, and how they are made smaller.

Everything is made from a sequence of choices: seeded, drawn by Hypothesis, or replayed. Knows the
binary format and the records of calls; must not know engines or outcomes.
"""
