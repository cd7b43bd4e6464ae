"""
Functions that are too large to be followed: said at once, instead of after hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from conformance.wasm.calls import call_graph
from conformance.wasm.module import Module
from conformance.wasm.opcodes import BY_NAME

MOST_BYTES: Final = 400_000
"""Of one function's body."""
MOST_LOOPS: Final = 1_000
"""Of one function."""
MOST_TARGETS: Final = 20_000
"""Of one `br_table`."""
_LOOP: Final = BY_NAME["loop"].code
_TABLE: Final = BY_NAME["br_table"].code


def too_large(module: Module, entry: int) -> Iterator[tuple[int, int, str]]:
    """
    (Function, instruction or -1, sentence) for each function that a call of *entry* can enter and
    that is beyond a limit.
    """
    for function in sorted(call_graph(module).reached([entry])):
        if function < module.imported_functions:
            continue
        body = module.functions[function - module.imported_functions].body
        size = body.span.end - body.span.start
        loops = int(np.count_nonzero(body.codes == _LOOP))
        if size > MOST_BYTES:
            sentence = f"its body has {size:,} bytes, at most {MOST_BYTES:,} are followed"
            yield function, -1, sentence
        elif loops > MOST_LOOPS:
            yield function, -1, f"it has {loops:,} loops, at most {MOST_LOOPS:,} are followed"
        elif size > MOST_TARGETS:
            for place in np.flatnonzero(body.codes == _TABLE).tolist():
                labels: Any = body[place].immediates[0]
                count = len(labels.labels)
                if count > MOST_TARGETS:
                    limit = f"at most {MOST_TARGETS:,} are followed"
                    yield function, place, f"a br_table has {count:,} targets, {limit}"
                    break
