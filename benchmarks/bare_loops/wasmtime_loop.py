"""
The bare loop of wasmtime: unchecked calls of its C API through ctypes, everything allocated before.
"""

import ctypes
import os
import sys

import wasmtime
from wasmtime import _ffi as ffi

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serve import serve


def engine_of(compiler):
    """
    An engine of the asked compiler, else as wasmtime makes it.
    """
    config = wasmtime.Config()
    if compiler == "winch":
        ffi.wasmtime_config_strategy_set(config.ptr(), 2)
    elif compiler == "pulley":
        config.target = "pulley64"
    return wasmtime.Engine(config)


def pointer_function(name):
    """
    A function of the C API that returns a pointer, without argument types that cost time.
    """
    function = ctypes.CDLL(ffi.dll._name)[name]
    function.restype = ctypes.c_void_p
    return function


def opener(engine, linked, initialize):
    """
    A function that opens an instance in a store of its own, initialises it and lets it go.
    """
    new, context_of = map(pointer_function, ("wasmtime_store_new", "wasmtime_store_context"))
    instantiate = pointer_function("wasmtime_instance_pre_instantiate")
    call = pointer_function("wasmtime_func_call_unchecked")
    get, delete = map(pointer_function, ("wasmtime_instance_export_get", "wasmtime_store_delete"))
    names = [name.encode("utf-8") for name in initialize]
    instance, item = ffi.wasmtime_instance_t(), ffi.wasmtime_extern_t()
    at_instance, at_item = ctypes.byref(instance), ctypes.byref(item)
    function = ctypes.byref(item, ffi.wasmtime_extern_t.of.offset)
    raw, cells = (ffi.wasmtime_val_raw_t * 1)(), ctypes.c_size_t(1)
    trap = ctypes.c_void_p()
    by_trap = ctypes.byref(trap)

    def open_another():
        store = ctypes.c_void_p(new(engine.ptr(), None, None))
        context = ctypes.c_void_p(context_of(store))
        if instantiate(linked.ptr(), context, at_instance, by_trap) or trap:
            raise RuntimeError("the module cannot be instantiated")
        for name in names:
            get(context, at_instance, name, ctypes.c_size_t(len(name)), at_item)
            if call(context, function, raw, cells, by_trap) or trap:
                raise RuntimeError("the module cannot be initialised")
        delete(store)

    return open_another


def prepare(job):
    """
    One instance, whose memory and entry are looked up once.
    """
    engine = engine_of(job.compiler)
    linked = wasmtime.Linker(engine).instantiate_pre(wasmtime.Module(engine, job.wasm))
    store = wasmtime.Store(engine)
    exports = linked.instantiate(store).exports(store)
    for name in job.initialize:
        exports[name](store)
    at_in, at_out = exports[job.in_export](store), exports[job.out_export](store)
    linear = exports[job.memory]
    base = ctypes.addressof(linear.data_ptr(store).contents)
    memory = memoryview((ctypes.c_ubyte * linear.data_len(store)).from_address(base)).cast("B")
    call = pointer_function("wasmtime_func_call_unchecked")
    raw, cells = (ffi.wasmtime_val_raw_t * 1)(), ctypes.c_size_t(1)
    context, function = store._context(), ctypes.byref(exports[job.entry]._func)
    trap = ctypes.c_void_p()
    by_trap = ctypes.byref(trap)
    buffer_in = slice(at_in, at_in + job.size_in)
    buffer_out = slice(at_out, at_out + job.size_out)

    def run(store=store):
        inputs, outputs, size_in, size_out = job.inputs, job.outputs, job.size_in, job.size_out
        source = target = 0
        for _ in range(job.count):
            memory[buffer_in] = inputs[source : source + size_in]
            if call(context, function, raw, cells, by_trap) or trap:
                raise RuntimeError("the call failed")
            outputs[target : target + size_out] = memory[buffer_out]
            source += size_in
            target += size_out

    return run, opener(engine, linked, job.initialize)


if __name__ == "__main__":
    serve(prepare)
