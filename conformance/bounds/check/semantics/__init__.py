"""
What instructions mean to the checker: bodies laid out and executed over terms of the solver.

Knows the codec and the format of certificates. Must not know gas models, duals or engines.
"""
