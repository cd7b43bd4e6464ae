"""
Measures what conformance costs: ratios to the engines' own bare loops, taken side by side.

Runs a certification's own path, not a copy of it. Nothing that judges or gates may read a figure
that is made here.
"""
