"""
The reference evaluator of `conformance/wasm/evaluate`, packed into this worker beside the loop.

It needs CPython or PyPy 3.11 or later and nothing else. All NaNs are those of the deterministic
profile, whatever the setting says; its meter counts one unit for each instruction executed.
"""

import hashlib
import sys
import zipfile

from engine import Engine as Base
from engine import Instance as BaseInstance
from stop import (
    EXHAUSTED_FUEL,
    EXHAUSTED_MEMORY,
    EXHAUSTED_STACK,
    EXHAUSTED_TABLE,
    REJECTED_ENTRY,
    REJECTED_INSTANTIATE,
    TRAP_HOST,
    TRAP_INDIRECT_CALL_TO_NULL,
    TRAP_INDIRECT_CALL_TYPE_MISMATCH,
    TRAP_INTEGER_DIVIDE_BY_ZERO,
    TRAP_INTEGER_OVERFLOW,
    TRAP_INVALID_CONVERSION_TO_INTEGER,
    TRAP_MEMORY_OUT_OF_BOUNDS,
    TRAP_TABLE_OUT_OF_BOUNDS,
    TRAP_UNREACHABLE,
    Refused,
    Stop,
)

from conformance.wasm.errors import BadModuleError
from conformance.wasm.evaluate import VERSION
from conformance.wasm.evaluate.instance import UNLIMITED
from conformance.wasm.evaluate.instance import Instance as Evaluation
from conformance.wasm.evaluate.program import Program
from conformance.wasm.evaluate.stops import (
    BadCallError,
    ExhaustedError,
    LinkError,
    TrappedError,
)
from conformance.wasm.evaluate.store import HostFunction, Limits
from conformance.wasm.items import FunctionType

TRAPS = {
    "unreachable": TRAP_UNREACHABLE,
    "memory out of bounds": TRAP_MEMORY_OUT_OF_BOUNDS,
    "integer divide by zero": TRAP_INTEGER_DIVIDE_BY_ZERO,
    "integer overflow": TRAP_INTEGER_OVERFLOW,
    "invalid conversion to integer": TRAP_INVALID_CONVERSION_TO_INTEGER,
    "indirect call to null": TRAP_INDIRECT_CALL_TO_NULL,
    "table out of bounds": TRAP_TABLE_OUT_OF_BOUNDS,
    "indirect call type mismatch": TRAP_INDIRECT_CALL_TYPE_MISMATCH,
    "host error": TRAP_HOST,
}
RESOURCES = {
    "stack": EXHAUSTED_STACK,
    "fuel": EXHAUSTED_FUEL,
    "memory": EXHAUSTED_MEMORY,
    "table": EXHAUSTED_TABLE,
}
SETTINGS = ({}, {"nan": "canonical"})
MASKS = {"i32": 0xFFFFFFFF, "f32": 0xFFFFFFFF, "i64": (1 << 64) - 1, "f64": (1 << 64) - 1}


def stop_of(error):
    """
    The Stop that an evaluation's end stands for.
    """
    if isinstance(error, TrappedError):
        return Stop(TRAPS[error.kind], error.kind)
    if isinstance(error, ExhaustedError):
        return Stop(RESOURCES[error.resource], str(error))
    return Stop(EXHAUSTED_MEMORY, "the evaluator itself ran out of memory")


def sources_sha256(archive):
    """
    SHA-256 over the evaluator's files in a worker's archive, in the order of their names.
    """
    digest = hashlib.sha256()
    with zipfile.ZipFile(archive) as bundle:
        for name in sorted(bundle.namelist()):
            if "/" in name:
                digest.update(bundle.read(name))
    return digest.hexdigest()


def functions(imports):
    """
    The module's imports, by module and name, as the evaluator takes them.
    """

    def given(function):
        return HostFunction(
            FunctionType(function.parameters, function.results),
            lambda instance, *arguments: function.answer(arguments),
        )

    return {(function.module, function.name): given(function) for function in imports}


class Engine(Base):
    """
    The evaluator.
    """

    name = "reference"
    capabilities = (
        "hosts",
        "hosts:grow",
        "level:state",
        "level:full",
        "fuel",
        "nan:canonical",
        "memory-limit",
        "proposal:mutable-global",
        "proposal:sign-extension",
        "proposal:saturating-conversion",
        "proposal:bulk-memory",
        "proposal:multi-value",
        "proposal:reference-types",
    )

    def identity(self):
        """
        Version, and digest of the sources that this worker holds.
        """
        return {
            "package_version": VERSION,
            "core_version": "reference@" + VERSION,
            "library_sha256": sources_sha256(sys.argv[0]),
        }

    def load(self, wasm, settings, cpu, memory_pages, imports, metered):
        """
        Decode and validate; functions are compiled when they are first called.
        """
        chosen = {key: value for key, value in settings.items() if key != "compiler"}
        if chosen not in SETTINGS or settings.get("compiler") or cpu != "native":
            text = "reference has no compilers, other CPUs, or settings but nan=canonical"
            raise Refused("compile", "unsupported", text)
        try:
            return Program.load(bytes(wasm)), memory_pages, functions(imports)
        except BadModuleError as error:
            rule = "invalid"
            if error.rule.startswith("proposal-"):
                rule = "unsupported"
            elif error.rule.startswith("limit-"):
                rule = "limit"
            raise Refused("compile", rule, str(error))

    def open(self, module, fuel, pooled):
        """
        Instantiate.
        """
        program, pages, given = module
        budget = UNLIMITED if fuel is None else fuel
        try:
            evaluation = Evaluation(program, given, limits=Limits(pages=pages), fuel=budget)
        except LinkError as error:
            raise Stop(REJECTED_INSTANTIATE, str(error))
        except (TrappedError, ExhaustedError, MemoryError) as error:
            raise stop_of(error)
        return Instance(evaluation, budget)


class Instance(BaseInstance):
    """
    One instance.
    """

    def __init__(self, evaluation, budget):
        self.evaluation = evaluation
        self.budget = budget

    def bind(self, name, parameters, results):
        """
        See `engine.Instance.bind`.
        """
        evaluation = self.evaluation
        try:
            function = evaluation.function(name)
        except BadCallError as error:
            raise Stop(REJECTED_ENTRY, str(error))
        actual = function.type
        if (actual.parameters, actual.results) != (tuple(parameters), tuple(results)):
            raise Stop(REJECTED_ENTRY, "%s has the type %s" % (name, actual))
        masks = [MASKS[kind] for kind in parameters]
        arguments = [0] * len(masks)
        outcome = [0] * len(results)

        def invoke():
            try:
                outcome[:] = evaluation.invoke(
                    function, [int(bits) & mask for bits, mask in zip(arguments, masks)]
                )
            except (TrappedError, ExhaustedError, MemoryError) as error:
                raise stop_of(error)

        return invoke, arguments, outcome

    def memory(self, name):
        """
        Linear memory itself: a view would keep it from growing.
        """
        try:
            return self.evaluation.memory(name).data
        except BadCallError as error:
            raise Stop(REJECTED_ENTRY, str(error))

    def grow(self, name, pages):
        """
        See `engine.Instance.grow`.
        """
        return self.evaluation.memory(name).grow(pages)

    def global_bits(self, name):
        """
        Bits of an exported global.
        """
        try:
            return self.evaluation.cell(name).value
        except BadCallError as error:
            raise Stop(REJECTED_ENTRY, str(error))

    def refuel(self):
        """
        The whole budget again.
        """
        self.evaluation.fuel = self.budget

    def fuel_used(self):
        """
        Instructions executed since `refuel`.
        """
        return self.budget - self.evaluation.fuel

    def close(self):
        """
        Let go of the instance.
        """
        self.evaluation = None
