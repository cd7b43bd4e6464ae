"""
The shared loop of every Python worker: protocol on one side, one engine file on the other.

Runs under CPython 3.8 and later and PyPy, with the standard library and its engine alone.
"""
