"""
Prints whether this wasmtime wheel gives an exported global that is zero as a number.

The module in base64 comes on stdin; its global is called `zero`. The answer is `number`, or the name
of the type that stands in its place. Runs on any Python from 3.8 and imports nothing of weavegate.
"""

import base64
import importlib.metadata
import sys

import wasmtime


def main():
    """
    Read the module, print the answer.
    """
    version = tuple(map(int, importlib.metadata.version("wasmtime").split(".")[:2]))
    store = wasmtime.Store(wasmtime.Engine())
    module = wasmtime.Module(store.engine, base64.b64decode(sys.stdin.read()))
    instance = wasmtime.Instance(store, module, [])
    if version < (0, 28):
        value = instance.exports["zero"].value
    else:
        value = instance.exports(store)["zero"].value(store)
    print("number" if isinstance(value, int) else type(value).__name__)


if __name__ == "__main__":
    main()
