"""
Simulated validators: blocks, app hashes, votes by power, and the first thing that differs.

One seed, one queue of events. Knows models, outcomes and the vote. Must not know engines,
processes, sockets, files or clocks: inferences are put to an executor that the room is given.
"""
