"""
Inputs of certificates run on an engine, and what is seen there held against the claims.
"""
