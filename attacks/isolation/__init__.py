"""
Scenarios in which one caller learns or changes what belongs to another.
"""
