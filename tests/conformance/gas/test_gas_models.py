from __future__ import annotations

from importlib import resources

import pytest

from conformance.gas.errors import BadGasModelError, UnknownGasModelError
from conformance.gas.host import HostCall, host_gas
from conformance.gas.load import catalogue, gas_model, names, newest, order, parse
from conformance.wasm.opcodes import BY_NAME
from runners.records import NotObserved

TEXT = resources.files("conformance.gas").joinpath("models.toml").read_text(encoding="utf-8")


def test_every_meter_that_is_named_is_there() -> None:
    assert names() == (
        "cosmwasm-vm", "wasmtime-fuel", "wasm-instrument", "near", "internet-computer", "stylus",
    )  # fmt: skip


def test_the_newest_is_found_by_number_and_not_by_text() -> None:
    assert newest().id == "cosmwasm-vm@3.0.9"
    assert gas_model("cosmwasm-vm") is newest()
    assert order("1.5.10") > order("1.5.9")
    assert order("2.0.0") > order("1.5.11")


def test_versions_of_one_generation_share_everything_but_the_version() -> None:
    model = gas_model("cosmwasm-vm@3.0.4")
    assert model.version == "3.0.4"
    assert "3.0.5" in model.alike
    other = gas_model("cosmwasm-vm@3.0.5")
    assert other.weights is model.weights
    assert gas_model("cosmwasm-vm@3.0.9").alike == ("3.0.9",)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            "cosmwasm-vm@3.0.44",
            "nearest is cosmwasm-vm@3.0.4; 101 versions are known, 0.13.0 to 3.0.9",
        ),
        ("near@1", "nearest is near@000b8da7; no other version is known"),
        ("wasmtime-fule@50.0.1", "did you mean wasmtime-fuel@50.0.1?"),
        ("gas", "meters are cosmwasm-vm, wasmtime-fuel"),
        ("", "meters are cosmwasm-vm"),
        ("x" * 10_000, "..."),
    ],
)
def test_a_model_that_does_not_exist_names_the_nearest(asked: str, told: str) -> None:
    with pytest.raises(UnknownGasModelError) as caught:
        gas_model(asked)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 400


def test_floats_are_refused_before_cosmwasm_1_5_and_by_stylus() -> None:
    for refusing in ("cosmwasm-vm@0.16.7", "cosmwasm-vm@1.4.5", "stylus@1"):
        assert "f64.add" not in gas_model(refusing).weights
        assert "i64.add" in gas_model(refusing).weights
    for taking in ("cosmwasm-vm@1.5.0", "cosmwasm-vm@3.0.9", "near", "internet-computer"):
        assert "f64.add" in gas_model(taking).weights


def test_wasmtime_prices_every_operator_that_we_read() -> None:
    assert set(gas_model("wasmtime-fuel").weights) == set(BY_NAME)


def test_every_price_of_every_model_has_a_source() -> None:
    for model in catalogue().values():
        assert {"weights", "point", "boundaries"} <= set(model.sources), model.id
        for value in ("host", "locals", "dynamic", "commits", "header"):
            assert bool(getattr(model, value)) == (value in model.sources), (model.id, value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("schema = 1", "schema = 2", "schema"),
        ('unit = "fuel"', 'unit = "fuel"\nprice = 3', "price"),
        ('"near"', '"near', "line "),
        ("[822_756", "[822_756.5", "Expected `int`"),
        ('[0, "block end else"]', '[0, "blok"]', "no operator matches 'blok'"),
        ('versions = ["2.0.9"]', 'versions = ["2.0.8", "2.0.9"]', "2.0.8 is there twice"),
        ('versions = ["1.5.6", "1.5.7"]', 'versions = ["1.5.7", "1.5.6"]', "ascending"),
        ('versions = ["2.0.9"]', "versions = []", "no version"),
        ('host = "cosmwasm-giga"', 'host = "nobody"', "no [host.nobody]"),
        ('header = "OffchainLabs', 'heather = "OffchainLabs', "header has no source"),
        ('commits = "unreachable return call call_indirect"', "", "has a source and no value"),
        ('refused = "SIMD is not', 'refuses = "SIMD', "Cannot overwrite"),
    ],
)  # fmt: skip
def test_a_catalogue_that_contradicts_itself_is_refused(old: str, new: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(BadGasModelError) as caught:
        parse(TEXT.replace(old, new, 1))
    assert told in str(caught.value)


# ------------------------------------------------------------- host terms, as releases billed


@pytest.mark.parametrize(
    ("version", "guest", "call", "billed"),
    [
        # A key of 5 bytes that is missing: only the key is read.
        ("2.1.4", 1_840, HostCall("env.db_read", read=(5,)), 1_840),
        ("2.1.6", 1_840, HostCall("env.db_read", read=(5,)), 220_415),
        ("3.0.4", 1_840, HostCall("env.db_read", read=(5,)), 220_415),
        ("1.5.10", 1_840_000, HostCall("env.db_read", read=(5,)), 2_058_575),
        # 5 and 1,005 bytes are found; 5,980 is the guest's part, its `allocate` included.
        ("2.3.4", 5_980, HostCall("env.db_read", read=(5,), written=(5,)), 224_555),
        ("3.0.0", 5_980, HostCall("env.db_read", read=(5,), written=(5,)), 457_405),
        ("3.0.9", 5_980, HostCall("env.db_read", read=(5,), written=(1_005,)), 1_027_405),
        ("2.2.2", 1_840, HostCall("env.addr_validate", read=(5,), texts=(5,)), 256_115),
        ("2.2.0", 1_840, HostCall("env.addr_validate", read=(5,), texts=(5,)), 1_840),
        # The answer of a query has 21 bytes, and is read by the VM itself.
        ("2.1.6", 25_530, HostCall("", read=(21,)), 227_945),
        ("1.5.11", 25_530_000, HostCall("", read=(21,)), 25_732_415),
    ],
)
def test_host_terms_give_what_releases_billed(
    version: str, guest: int, call: HostCall, billed: int
) -> None:
    host = host_gas(gas_model(f"cosmwasm-vm@{version}"), [call])
    assert isinstance(host, int)
    assert guest + host == billed


@pytest.mark.parametrize(
    ("version", "thousands"),
    [("0.16.7", 100), ("1.5.2", 154_000_000), ("2.0.1", 154_000), ("2.1.0", 96_000),
     ("2.1.6", 96_635), ("3.0.4", 96_635)],
)  # fmt: skip
def test_a_signature_costs_what_releases_billed(version: str, thousands: int) -> None:
    # Hash, signature and key: 32, 64 and 33 bytes; the guest's part is five operators.
    call = HostCall("env.secp256k1_verify", read=(32, 64, 33))
    host = host_gas(gas_model(f"cosmwasm-vm@{version}"), [call])
    assert isinstance(host, int)
    guest = 2_070 if host > 96_100_000 and host < 97_000_000 else 0
    assert round((host + guest) / 1000) == thousands


def test_reading_more_than_8_megabytes_has_a_price_of_its_own() -> None:
    model = gas_model("cosmwasm-vm@3.0.9")
    assert host_gas(model, [HostCall("", read=(8_000_000,))]) == 200_000 + 115 * 8_000_000
    assert host_gas(model, [HostCall("", read=(8_000_001,))]) == 520 * 8_000_001


@pytest.mark.parametrize(
    ("model", "function"),
    [("cosmwasm-vm@0.13.2", "env.db_read"), ("cosmwasm-vm@3.0.9", "env.debug"),
     ("cosmwasm-vm@3.0.9", "env.ed25519_batch_verify"), ("wasmtime-fuel", "env.db_read"),
     ("stylus", "vm_hooks.read_args")],
)  # fmt: skip
def test_a_host_part_without_a_term_is_unknown_and_never_a_number(
    model: str, function: str
) -> None:
    found = host_gas(gas_model(model), [HostCall("env.db_read"), HostCall(function)])
    assert isinstance(found, NotObserved)
    assert "has no price" in found.reason


def test_no_host_calls_cost_nothing_under_every_model() -> None:
    assert {host_gas(model, []) for model in catalogue().values()} == {0}
