"""
Times loops of operators on wasmtime or wasmer, in the environment of the engine.

The first line on stdin is the job in JSON: `wasm`, `engine`, `compiler`, `functions`, and two numbers
of rounds, `few` and `many`. Each further line is answered by a JSON list: for each function the
processor time in nanoseconds by which many rounds took longer than few. Runs on any Python from 3.8
and imports nothing of weavegate.
"""

import importlib
import json
import sys
import time


def on_wasmtime(wasm, functions):
    """
    Functions of one number, on the compiler that is wasmtime's default.
    """
    import wasmtime

    store = wasmtime.Store(wasmtime.Engine())
    exports = wasmtime.Instance(store, wasmtime.Module(store.engine, wasm), []).exports(store)
    return [lambda n, f=exports[name]: f(store, n) for name in functions]


def on_wasmer(wasm, functions, compiler):
    """
    Functions of one number, on the compiler that is asked for.
    """
    import wasmer
    from wasmer import engine

    kind = importlib.import_module("wasmer_compiler_" + compiler).Compiler
    store = wasmer.Store(engine.Universal(kind))
    exports = wasmer.Instance(wasmer.Module(store, wasm)).exports
    return [getattr(exports, name) for name in functions]


def main():
    """
    Prepare, warm up, then one pass for each line.
    """
    job = json.loads(sys.stdin.readline())
    with open(job["wasm"], "rb") as module:
        wasm = module.read()
    if job["engine"] == "wasmtime":
        functions = on_wasmtime(wasm, job["functions"])
    else:
        functions = on_wasmer(wasm, job["functions"], job["compiler"])
    few, many, clock = job["few"], job["many"], time.thread_time_ns
    for function in functions:
        function(few)
    for _ in sys.stdin:
        taken = []
        for function in functions:
            # What is cold would make few rounds seem slow, and the difference too small.
            function(few)
            start = clock()
            function(few)
            middle = clock()
            function(many)
            taken.append(clock() - middle - (middle - start))
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main()
