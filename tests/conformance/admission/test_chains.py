from pathlib import Path

import pytest

from conformance.admission.chains import Chain, read_chain
from conformance.admission.fitting import ProvedCall, fits, sdk_gas
from conformance.manifest.errors import BadManifestError
from vectors.chains import shipped_chains


def chain(name: str) -> Chain:
    return read_chain(shipped_chains()[name])


def test_every_shipped_file_reads_and_every_value_has_a_source() -> None:
    assert sorted(shipped_chains()) == ["juno", "neutron", "osmosis"]
    for path in shipped_chains().values():
        found = read_chain(path)
        assert found.name == path.stem
        for record in (found.register, found.limits):
            for key in record.__struct_fields__:
                assert getattr(record, key).source


def test_unknown_is_none_never_a_number() -> None:
    neutron = chain("neutron")
    assert neutron.gas_model.value is None
    assert neutron.register.multiplier.value is None
    assert neutron.limits.module_bytes.value == 1_677_722


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("multiplier = {", "multiplyer = {", "did you mean `multiplier`"),
        ("value = 140000", 'value = "many"', "must be an integer"),
        ("value = 140000", "value = -5", "must be from 0"),
        ("schema = 1", "schema = 2", "must be from 1 to 1"),
        ("[vm]", "[vmm]", "did you mean `vm`"),
        ('chain_id = "juno-1"', "", "needs `chain_id`"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = shipped_chains()["juno"].read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "juno.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(BadManifestError, match=words):
        read_chain(path)


def call(**changes: object) -> ProvedCall:
    fields = {"vm_gas": 140_001, "host_gas": 0, "pages": 17, "module_bytes": 1000,
              "message_bytes": 40} | changes  # fmt: skip
    return ProvedCall(**fields)  # type: ignore[arg-type]


def test_gas_is_rounded_up_and_the_instance_fee_is_on_top() -> None:
    assert sdk_gas(call(), chain("juno")).total == 60_000 + 2
    assert sdk_gas(call(loading="pinned"), chain("juno")).total == 2_000 + 2


def test_seen_code_has_the_discount_only_where_the_chain_gives_it() -> None:
    assert sdk_gas(call(loading="seen"), chain("juno")).instance == 2_000
    assert sdk_gas(call(loading="seen"), chain("osmosis")).instance == 60_000


def test_what_is_unknown_is_said_and_nothing_is_added_up() -> None:
    gas = sdk_gas(call(host_gas=None), chain("juno"))
    assert gas.total is None
    assert gas.missing == ("the gas of host calls is unknown",)
    gas = sdk_gas(call(), chain("neutron"))
    assert gas.total is None
    assert "neutron's gas multiplier is unknown" in gas.missing


def test_each_limit_has_its_answer() -> None:
    answers = {fit.limit: fit.answer for fit in fits(call(), chain("osmosis"), asked=60_001)}
    assert answers == {
        "asked SDK gas": "exceeds",
        "SDK gas of a smart query (per node)": "fits",
        "SDK gas of a transaction": "fits",
        "SDK gas of a block (consensus)": "fits",
        "memory pages": "fits",
        "module bytes": "fits",
    }


def test_limits_that_are_met_exactly_fit_and_one_more_does_not() -> None:
    juno = chain("juno")
    for pages, module, answer in ((512, 819_200, "fits"), (513, 819_201, "exceeds")):
        found = {f.limit: f.answer for f in fits(call(pages=pages, module_bytes=module), juno)}
        assert found["memory pages"] == answer
        assert found["module bytes"] == answer


def test_a_lifted_block_limit_fits_everything(tmp_path: Path) -> None:
    text = shipped_chains()["osmosis"].read_text(encoding="utf-8")
    path = tmp_path / "osmosis.toml"
    path.write_text(text.replace("value = 300000000", "value = -1"), encoding="utf-8")
    found = {f.limit: f.answer for f in fits(call(), read_chain(path))}
    assert found["SDK gas of a block (consensus)"] == "fits"


def test_an_unbounded_module_fits_nothing() -> None:
    found = {f.limit: f.answer for f in fits(call(vm_gas=None, pages=None), chain("juno"))}
    assert found["SDK gas of a smart query (per node)"] == "unknown"
    assert found["memory pages"] == "unknown"
