"""
`[bounds]` and `[chain]` of a manifest: what they mean, and one sentence for each mistake.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from manifest_samples import BUFFERS

from conformance.gas.load import newest
from conformance.manifest.errors import BadManifestError
from conformance.manifest.read import parse_manifest
from conformance.manifest.records import BoundsPart, ChainPart, Manifest

PLAIN = BUFFERS.replace("[bounds]\n[chain]\n", "")
FUEL, VM = "wasmtime-fuel@50.0.1", "cosmwasm-vm@3.0.4"
BOUNDS = f"""
[bounds]
entries = ["infer"]
models = ["{VM}", "wasmtime-fuel@50.0.1"]
max_gas = {{ "{FUEL}" = 40000, "{VM}" = 5_000_000 }}
max_pages = 17
max_depth = 3
max_frame_words = 99
independent = true
"""
CHAIN = """
[chain]
name = "juno"
loading = "pinned"
message_bytes = 512
max_sdk_gas = 3_000_000
"""


def read(text: str, folder: str = ".") -> Manifest:
    return parse_manifest(text.encode(), folder=folder)


def test_all_keys() -> None:
    assert PLAIN != BUFFERS
    manifest = read(PLAIN + BOUNDS + CHAIN)
    assert manifest.bounds == BoundsPart(
        entries=("infer",),
        models=(VM, FUEL),
        max_gas=((VM, 5_000_000), (FUEL, 40_000)),
        max_pages=17,
        max_depth=3,
        max_frame_words=99,
        independent=True,
    )
    assert manifest.chain == ChainPart(
        name="juno", loading="pinned", message_bytes=512, max_sdk_gas=3_000_000
    )


def test_an_empty_table_asks_for_bounds_and_none_does_not() -> None:
    assert read(PLAIN).bounds is None
    assert read(PLAIN + "[bounds]\n").bounds == BoundsPart()
    assert read(PLAIN).chain is None
    assert read(PLAIN + "[chain]\n").chain is None


def test_a_bare_name_is_the_newest_version() -> None:
    manifest = read(PLAIN + '[bounds]\nmodels = ["cosmwasm-vm"]\n')
    assert manifest.bounds is not None
    assert manifest.bounds.models == (newest("cosmwasm-vm").id,)


def test_a_chain_file_lies_in_the_folder_of_the_manifest(tmp_path: Path) -> None:
    text = PLAIN + '[chain]\nfile = "own.toml"\n'
    (tmp_path / "own.toml").write_text("schema = 1")
    assert read(text, str(tmp_path)).chain == ChainPart(file="own.toml")


BAD_LINES = [
    ("max_pages = 17", "max_page = 17", "bounds.max_page", "did you mean `max_pages`?"),
    ("max_pages = 17", "max_pages = 65537", "bounds.max_pages", "from 0 to 65536, not 65537"),
    ("max_depth = 3", "max_depth = -1", "bounds.max_depth", "must be from 0"),
    ("max_frame_words = 99", "max_frame_words = 1.5", "bounds.max_frame_words", "an integer"),
    ("independent = true", "independent = 1", "bounds.independent", "must be true or false"),
    (f'"{VM}", "w', '"cosmwasm-vm@0.0.1", "w', "bounds.models.0", "there is no gas model"),
    (f'"{VM}", "w', f'"{FUEL}", "w', "bounds.models.1", "twice"),
    (f'{{ "{FUEL}" = 40000', '{ "fuel" = 40000', "bounds.max_gas.fuel", "there is no gas model"),
    ("= 40000", "= -1", f"bounds.max_gas.{FUEL}", "must be from 0"),
    ('name = "juno"', "", "chain", "needs one of `name`"),
    ('name = "juno"', 'name = "juno"\nfile = "a.toml"', "chain", "needs one of `name`"),
    ('name = "juno"', 'file = "../a.toml"', "chain.file", "inside the manifest's folder"),
    ('name = "juno"', 'file = "a.txt"', "chain.file", "ends in .toml"),
    ('name = "juno"', 'file = "none.toml"', "chain.file", "there is no file none.toml"),
    ('loading = "pinned"', 'loading = "pin"', "chain.loading", 'did you mean "pinned"?'),
    ("message_bytes = 512", "message_bytes = -1", "chain.message_bytes", "must be from 0"),
    ("message_bytes = 512", "message = 512", "chain.message", "did you mean `message_bytes`?"),
    ("max_sdk_gas = 3_000_000", 'max_sdk_gas = "3"', "chain.max_sdk_gas", "an integer"),
]


@pytest.mark.parametrize(("old", "new", "key", "words"), BAD_LINES)
def test_each_mistake_has_its_line_key_and_sentence(
    old: str, new: str, key: str, words: str
) -> None:
    text = PLAIN + BOUNDS + CHAIN
    assert text.count(old) == 1, old
    bad = text.replace(old, new)
    with pytest.raises(BadManifestError) as caught:
        read(bad)
    assert caught.value.key == key
    assert words in caught.value.sentence
    line = caught.value.line
    assert line is not None
    named = bad.split("\n")[line - 1]
    assert key.split(".")[1] in named if "." in key else named == f"[{key}]"


def test_a_table_is_wanted() -> None:
    for name in ("bounds", "chain"):
        with pytest.raises(BadManifestError, match="must be a table"):
            read(PLAIN.replace("schema = 1", f"schema = 1\n{name} = 3"))
