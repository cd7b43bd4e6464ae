"""
The bare loop of wasm3: its Python binding, entry and memory looked up once.
"""

import os
import sys

import wasm3

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serve import serve

STACK_BYTES = 256 * 1024


def prepare(job):
    """
    One runtime, whose memory and entry are looked up once.
    """
    environment = wasm3.Environment()

    def open_another():
        runtime = environment.new_runtime(STACK_BYTES)
        runtime.load(environment.parse_module(job.wasm))
        for name in job.initialize:
            runtime.find_function(name)()
        return runtime

    runtime = open_another()
    at_in = runtime.find_function(job.in_export)()
    at_out = runtime.find_function(job.out_export)()
    memory, function = runtime.get_memory(0), runtime.find_function(job.entry)
    buffer_in = slice(at_in, at_in + job.size_in)
    buffer_out = slice(at_out, at_out + job.size_out)

    def run(runtime=runtime):
        inputs, outputs, size_in, size_out = job.inputs, job.outputs, job.size_in, job.size_out
        source = target = 0
        for _ in range(job.count):
            memory[buffer_in] = inputs[source : source + size_in]
            function()
            outputs[target : target + size_out] = memory[buffer_out]
            source += size_in
            target += size_out

    return run, open_another


if __name__ == "__main__":
    serve(prepare)
