"""
What a block may hold, and what each transaction costs.

Gas is a model of its own, `model:flat@1`: a flat fee, and a fee for each byte of input. It stands
in for a chain's metering, which weavegate does not have for every engine. The meters of engines
never enter consensus: they count different things, so every block would differ.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from conformance.network.merkle import framed
from runners.bits import parse_bytes

METER: Final = "model:flat@1"
FEE_PER_TRANSACTION: Final = 1_000
FEE_PER_INPUT_BYTE: Final = 10


class StoreModule(Struct, frozen=True, tag="store"):
    """
    Makes a module known to the chain; a module that is known already is refused.
    """

    account: int
    module_sha256: str


class Infer(Struct, frozen=True, tag="infer"):
    """
    Calls a stored module; what it returns becomes the account's latest result.
    """

    account: int
    module_sha256: str
    entry: str
    input: str
    """The input row, `bytes:...`."""


class WriteResult(Struct, frozen=True, tag="write"):
    """
    Copies the account's latest result to a shared key; refused if the account has none.
    """

    account: int
    board: int
    """Number of the shared key."""


Transaction = StoreModule | Infer | WriteResult


def transaction_bytes(transaction: Transaction) -> bytes:
    """
    The leaf of a transaction in its block's tree.
    """
    account = str(transaction.account).encode()
    match transaction:
        case StoreModule():
            return framed(b"store", account, bytes.fromhex(transaction.module_sha256))
        case Infer():
            module = bytes.fromhex(transaction.module_sha256)
            entry = transaction.entry.encode()
            return framed(b"infer", account, module, entry, parse_bytes(transaction.input))
        case WriteResult():
            return framed(b"write", account, str(transaction.board).encode())


def flat_gas(transaction: Transaction) -> int:
    """
    Gas of a transaction by `model:flat@1`, whatever becomes of it.
    """
    size = 0
    if isinstance(transaction, Infer):
        size = len(parse_bytes(transaction.input))
    elif isinstance(transaction, StoreModule):
        size = len(transaction.module_sha256) // 2
    return FEE_PER_TRANSACTION + FEE_PER_INPUT_BYTE * size
