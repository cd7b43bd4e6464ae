"""
Compares what nodes did with one case, and names the one that stands alone.

Knows outcomes and NaN profiles. Must not know engines, processes, files or time.
"""
