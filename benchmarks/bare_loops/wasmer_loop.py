"""
The bare loop of wasmer: its Python binding, entry and memory looked up once.
"""

import ctypes
import glob
import importlib
import importlib.util
import os
import sys

import wasmer
from wasmer import engine as wasmer_engine

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serve import serve


def satisfy_llvm():
    """
    Load the libtinfo of the LLVM wheel under the name that the wheel's version table asks for.
    """
    package = os.path.dirname(importlib.util.find_spec("wasmer_compiler_llvm").origin)
    pattern = os.path.join(os.path.dirname(package), "wasmer_compiler_llvm.libs", "libtinfo-*.so.5")
    (path,) = glob.glob(pattern)
    renamed, wanted = os.path.basename(path).encode("ascii"), b"libtinfo.so.5"
    with open(path, "rb") as library:
        data = library.read().replace(renamed, wanted.ljust(len(renamed), b"\0"))
    descriptor = os.memfd_create("libtinfo.so.5")
    with os.fdopen(descriptor, "wb") as copy:
        copy.write(data)
        copy.flush()
        ctypes.CDLL("/proc/self/fd/%d" % descriptor)
    ctypes.CDLL("libtinfo.so.5")


def prepare(job):
    """
    One instance, whose memory and entry are looked up once.
    """
    if job.compiler == "llvm":
        satisfy_llvm()
    kind = importlib.import_module("wasmer_compiler_" + job.compiler).Compiler
    store = wasmer.Store(wasmer_engine.Universal(kind))
    module = wasmer.Module(store, job.wasm)

    def open_another():
        exports = wasmer.Instance(module).exports
        for name in job.initialize:
            getattr(exports, name)()
        return exports

    exports = open_another()
    at_in, at_out = getattr(exports, job.in_export)(), getattr(exports, job.out_export)()
    memory = memoryview(getattr(exports, job.memory).buffer)
    function = getattr(exports, job.entry)
    buffer_in = slice(at_in, at_in + job.size_in)
    buffer_out = slice(at_out, at_out + job.size_out)

    def run():
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
