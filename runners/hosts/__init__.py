"""
Hosts: what answers a module's imports, one per ABI, in the controller and for every engine alike.

This room must not know engines, votes or verdicts: it is given a call and answers it.
"""
