"""
The host of a replay: it answers within the contracts of a certificate, at their ends by choice.

What a contract allows is drawn from a seed: results, bytes that are overwritten, calls of exports,
an end of the call, the bill. It makes no memory larger, which any contract allows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from conformance.bounds.check.semantics.image import PAGE_BYTES, Image
from conformance.bounds.check.semantics.layout import WIDTH
from conformance.bounds.expressions import (
    Expression,
    Scope,
    State,
    evaluate,
    read_formula,
    read_term,
)
from conformance.bounds.host_records import HostContract
from runners.hosts.host import (
    Answer,
    HostCall,
    HostStopError,
    Peek,
    Poke,
    Reenter,
    Step,
    StepReply,
)
from runners.records import digest_of

ANSWERS: Final = 4
"""Ways in which the host answers each input: all least, all greatest, and drawn ones."""
_LEAST, _GREATEST = range(2)
_TRIES: Final = 200
_MOST_FILLED: Final = 1 << 20
_MOST_REENTRIES: Final = 3
_PLACES: Final = 3
_LONGEST: Final = 16
_TRAPS_ONCE_IN: Final = 16
_WORD_BYTES: Final = 4


@dataclass(slots=True)
class ContractHosts:
    """
    Makes hosts that answer one way; `billed` is the newest one's bill.
    """

    image: Image
    contracts: Mapping[str, HostContract]
    way: int
    """Below ANSWERS."""
    seed: int
    last: ContractHost | None = None

    def digest(self) -> str:
        """
        Over what the answers depend on.
        """
        return digest_of(["host", "contract", 1, sorted(self.contracts), self.way, self.seed])

    def host(self) -> ContractHost:
        """
        A host for one case.
        """
        self.last = ContractHost(self)
        return self.last

    def billed(self, model: str) -> int:
        """
        Gas that the newest host billed under a model.
        """
        return 0 if self.last is None else self.last.bills.get(model, 0)


@dataclass(slots=True)
class ContractHost:
    """
    Answers the calls of one case.
    """

    maker: ContractHosts
    bills: dict[str, int] = field(default_factory=dict)
    calls: int = 0

    def answer(self, call: HostCall) -> Answer:
        """
        Raise HostStopError where the contract lets the host end the call, or there is none.
        """
        key = f"{call.module}.{call.name}"
        contract = self.maker.contracts.get(key)
        if contract is None:
            message = f"{key} has no contract"
            raise HostStopError(message)
        self.calls += 1
        draw = random.Random(f"{self.maker.seed}/{self.maker.way}/{self.calls}")  # noqa: S311 - answers, not secrets
        if contract.traps and self.maker.way > _GREATEST and not draw.randrange(_TRAPS_ONCE_IN):
            message = f"{key} may end the call, and does"
            raise HostStopError(message)
        yield from self._bill(contract, call, draw)
        yield from self._reenter(contract, draw)
        yield from self._write(contract, call, draw)
        return self._results(contract, call, draw)

    def ended(self) -> str | None:
        """
        Nothing to complain of.
        """
        return None

    # ------------------------------------------------------------------------------- the bill

    def _bill(self, contract: HostContract, call: HostCall, draw: random.Random) -> Answer:
        lengths: dict[str, int] = {}
        for cost in contract.costs:
            total = self._end(cost.lo, cost.hi, draw)
            for length in cost.lengths:
                if length.of not in lengths:
                    lengths[length.of] = yield from self._length(call, length.of)
                if length.most is not None and lengths[length.of] > length.most:
                    message = f"{contract.key} takes a length of at most {length.most}"
                    raise HostStopError(message)
                total += length.per * lengths[length.of]
            self.bills[cost.model] = self.bills.get(cost.model, 0) + total
        return ()

    def _length(self, call: HostCall, text: str) -> Generator[Step, StepReply, int]:
        """
        The value of a term, memory as it is now.
        """
        scope = Scope({"param": [WIDTH[kind] for kind in call.parameters]})
        term = read_term(text, scope)
        words: dict[int, int] = {}
        given = State({"param": call.arguments}, None, {})
        for load in _loads(term):
            address = evaluate(load.operands[0], given)
            if address + _WORD_BYTES > self.maker.image.pages * PAGE_BYTES:
                message = f"a word at {address} is not in memory"
                raise HostStopError(message)
            reply = yield Peek(address, _WORD_BYTES)
            if isinstance(reply, bytes):
                words[address] = int.from_bytes(reply, "little")
        return evaluate(term, State({"param": call.arguments}, lambda at, _: words[at], {}))

    def _end(self, low: int, high: int, draw: random.Random) -> int:
        if self.maker.way in (_LEAST, _GREATEST):
            return low if self.maker.way == _LEAST else high
        return draw.choice((low, high, draw.randint(low, high)))

    # ------------------------------------------------------------------------------ its effects

    def _reenter(self, contract: HostContract, draw: random.Random) -> Answer:
        module = self.maker.image.module
        for item in contract.reenters:
            export = module.exported(item.export)
            if export is None or export.kind != "function":
                continue
            kinds = module.function_type(export.index).parameters
            for _ in range(self._end(0, min(item.times, _MOST_REENTRIES), draw)):
                given = tuple(draw.choice((0, 1, 64, draw.getrandbits(16))) for _ in kinds)
                yield Reenter(item.export, given)
        return ()

    def _write(self, contract: HostContract, call: HostCall, draw: random.Random) -> Answer:
        """
        Fill what the contract gives up, as far as it lies in the memory that every call has.
        """
        size = self.maker.image.pages * PAGE_BYTES
        spans: list[tuple[int, int]] = []
        if contract.writes is None:
            for _ in range(_PLACES if size else 0):
                start = draw.randrange(size)
                spans.append((start, min(size, start + draw.randint(1, _LONGEST))))
        scope = Scope({"param": [WIDTH[kind] for kind in call.parameters]}, loads=False)
        given = State({"param": call.arguments}, None, {})
        for item in contract.writes or ():
            ends = [evaluate(read_term(text, scope), given) for text in (item.start, item.end)]
            spans.append((ends[0], ends[1]))
        for start, end in spans:
            if start < end <= size and end - start <= _MOST_FILLED:
                yield Poke(start, self._filling(end - start, draw))
        return ()

    def _filling(self, count: int, draw: random.Random) -> bytes:
        if self.maker.way == _LEAST:
            return bytes(count)
        return b"\xff" * count if self.maker.way == _GREATEST else draw.randbytes(count)

    # -------------------------------------------------------------------------------- results

    def _results(
        self, contract: HostContract, call: HostCall, draw: random.Random
    ) -> tuple[int, ...]:
        widths = [WIDTH[kind] for kind in call.results]
        scope = Scope(
            {"param": [WIDTH[kind] for kind in call.parameters], "result": widths}, loads=False
        )
        formulas = [read_formula(text, scope) for text in contract.ensures]
        numbers = {int(text) for formula in contract.ensures for text in _NUMBERS.findall(formula)}
        for attempt in range(_TRIES):
            found = []
            for width in widths:
                ends = sorted(n for n in {0, (1 << width) - 1, *numbers} if not n >> width)
                if self.maker.way == _GREATEST:
                    ends.reverse()
                drawn = [*ends, draw.getrandbits(width)]
                first = self.maker.way in (_LEAST, _GREATEST) and attempt < len(ends)
                found.append(ends[attempt] if first else draw.choice(drawn))
            state = State({"param": call.arguments, "result": found}, None, {})
            if all(evaluate(formula, state) for formula in formulas):
                return tuple(found)
        message = f"no answer that {contract.key} may give was found"
        raise HostStopError(message)


_NUMBERS: Final = re.compile(r"(?<=[ (])\d+(?=\))")


def _loads(term: Expression) -> Iterator[Expression]:
    if term.operator == "load":
        yield term
    for part in term.operands:
        yield from _loads(part)


def ways(
    image: Image, hosts: Sequence[HostContract], seed: int
) -> tuple[ContractHosts | None, ...]:
    """
    The hosts of all runs of one input; one run without a host where nothing is imported.
    """
    if not image.imported:
        return (None,)
    contracts = {host.key: host for host in hosts}
    return tuple(ContractHosts(image, contracts, way, seed) for way in range(ANSWERS))
