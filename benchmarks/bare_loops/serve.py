"""
What the bare loops share: they read one job, then repeat it as often as they are asked.

The first line on stdin is the job in JSON. Each further line is answered by a line in JSON:
`wall_ns` and `cpu_ns` of one pass over all inputs, `open_ns` of opening one instance (CPU time: new
instance, its initialisation, and letting go of it), and the `sha256` of all outputs. These programs
run in the environments of the engines, on any Python from 3.8, and import nothing of weavegate.
"""

import hashlib
import json
import sys
import time


OPENINGS = 4
"""Instances that are opened in each pass; their mean is told."""


class Job(object):
    """
    What is to be called, on which inputs.
    """

    def __init__(self, fields):
        with open(fields["wasm"], "rb") as module:
            self.wasm = module.read()
        with open(fields["inputs"], "rb") as rows:
            self.inputs = memoryview(rows.read())
        self.compiler = fields["compiler"]
        self.entry = fields["entry"]
        self.initialize = fields["initialize"]
        self.in_export = fields["in_export"]
        self.out_export = fields["out_export"]
        self.memory = fields["memory"]
        self.size_in = fields["size_in"]
        self.size_out = fields["size_out"]
        self.count = len(self.inputs) // self.size_in
        self.outputs = memoryview(bytearray(self.count * self.size_out))


def serve(prepare):
    """
    Prepare the engine for the job, then time one pass of its loop for each line on stdin.

    `prepare` takes the job and returns two functions without arguments: the loop over all inputs,
    and one that opens another instance, initialises it and lets it go.
    """
    job = Job(json.loads(sys.stdin.readline()))
    run, open_another = prepare(job)
    for _ in sys.stdin:
        job.outputs[:] = bytes(len(job.outputs))
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        run()
        wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
        opening = time.process_time_ns()
        for _ in range(OPENINGS):
            open_another()
        opening = (time.process_time_ns() - opening) // OPENINGS
        reply = {"wall_ns": wall, "cpu_ns": cpu, "open_ns": opening}
        reply["sha256"] = hashlib.sha256(job.outputs).hexdigest()
        print(json.dumps(reply), flush=True)
