"""
Scenarios in which a validator's surroundings change what a module computes.
"""
