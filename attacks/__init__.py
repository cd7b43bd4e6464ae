"""
What is thrown at modules and engines: one file per scenario.

Knows modules, manifests and open instances. Must not know how an outcome is judged: a scenario
tells what it saw, and others make a verdict of it.
"""
