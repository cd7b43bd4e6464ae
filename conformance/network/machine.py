"""
The state machine that every validator runs: a block, its inferences' answers, the hashes.

The app hash is a node over two Merkle roots: of the state after the block, and of the block's
events. The results hash is the Merkle root of each transaction's kind of outcome, output bits and
gas. CometBFT hashes results without events; events enter here so that a difference in them cannot
hide. All three trees have domains of their own (`merkle.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.network.answers import Answer, Kind
from conformance.network.merkle import framed, join, merkle_root
from conformance.network.state import State
from conformance.network.transactions import (
    Infer,
    StoreModule,
    Transaction,
    WriteResult,
    flat_gas,
    transaction_bytes,
)

RESULTS_DOMAIN: Final = "weavegate/results/1"
EVENTS_DOMAIN: Final = "weavegate/events/1"
TRANSACTIONS_DOMAIN: Final = "weavegate/transactions/1"


@dataclass(frozen=True, slots=True)
class Result:
    """
    What became of one transaction.
    """

    kind: Kind
    output: bytes
    gas: int
    writes: tuple[tuple[str, bytes], ...] = ()
    """Keys and values that it wrote, in order."""

    def leaf(self) -> bytes:
        """
        The result's leaf in the results hash.
        """
        return framed(self.kind.value.encode(), self.output, self.gas.to_bytes(8, "little"))

    def event(self, transaction: Transaction) -> bytes:
        """
        The event that the transaction leaves: who did what, how it ended, which keys it wrote.
        """
        keys = [key.encode() for key, _ in self.writes]
        account = str(transaction.account).encode()
        return framed(account, type(transaction).__name__.encode(), self.kind.value.encode(), *keys)


@dataclass(frozen=True, slots=True)
class Applied:
    """
    A block as one validator executed it.
    """

    state: State
    results: tuple[Result, ...]
    app_hash: str
    """Hexadecimal."""
    results_hash: str


def transactions_hash(transactions: Sequence[Transaction]) -> str:
    """
    Merkle root of a block's transactions, in hexadecimal.
    """
    leaves = [transaction_bytes(transaction) for transaction in transactions]
    return merkle_root(TRANSACTIONS_DOMAIN, leaves).hex()


def apply_block(
    state: State, height: int, transactions: Sequence[Transaction], answers: Mapping[int, Answer]
) -> Applied:
    """
    Execute a block on *state*; *answers* holds one for each inference, by its place in the block.
    """
    results: list[Result] = []
    events: list[bytes] = []
    pending: dict[str, bytes] = {}

    def read(key: str) -> bytes | None:
        return pending[key] if key in pending else state.get(key)

    for place, transaction in enumerate(transactions):
        gas = flat_gas(transaction)
        match transaction:
            case StoreModule():
                key = module_key(transaction.module_sha256)
                if read(key) is None:
                    wrote = ((key, height.to_bytes(8, "little")),)
                    result = Result(Kind.STORED, b"", gas, wrote)
                else:
                    result = Result(Kind.ALREADY_STORED, b"", gas)
            case Infer():
                if read(module_key(transaction.module_sha256)) is None:
                    result = Result(Kind.UNKNOWN_MODULE, b"", gas)
                else:
                    result = _inferred(transaction, answers[place], gas)
            case WriteResult():
                latest = read(latest_key(transaction.account))
                if latest is None:
                    result = Result(Kind.NOTHING_TO_WRITE, b"", gas)
                else:
                    wrote = ((board_key(transaction.board), latest),)
                    result = Result(Kind.WRITTEN, b"", gas, wrote)
        pending.update(result.writes)
        results.append(result)
        events.append(result.event(transaction))
    after = state.with_writes(pending)
    return Applied(
        state=after,
        results=tuple(results),
        app_hash=join(after.root(), merkle_root(EVENTS_DOMAIN, events)).hex(),
        results_hash=merkle_root(RESULTS_DOMAIN, [result.leaf() for result in results]).hex(),
    )


def _inferred(transaction: Infer, answer: Answer, gas: int) -> Result:
    wrote: tuple[tuple[str, bytes], ...] = ()
    if answer.kind is Kind.RETURNED:
        wrote = ((latest_key(transaction.account), answer.output),)
    return Result(answer.kind, answer.output, gas, wrote)


def module_key(sha256: str) -> str:
    """
    Under this key stands the height at which a module was stored, 8 bytes, little-endian.
    """
    return f"module/{sha256}"


def latest_key(account: int) -> str:
    """
    Under this key stands what an account's latest inference returned.
    """
    return f"latest/{account:04d}"


def board_key(board: int) -> str:
    """
    Under this key stands a result that somebody wrote down.
    """
    return f"board/{board:04d}"
