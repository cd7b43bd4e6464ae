import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_samples import BUFFERS, CALLS

from conformance.manifest.positions import MAX_DEPTH, TooDeepError, scan_keys

DOCUMENT = """\
# comment = "no key"
a.b = 1   # a.c = 2
"quoted = key" = 'x = "y"'
long = \"\"\"
fake = 1
[fake]
\\\"\"\" still \"\"\"\"
'lit.eral' = '''
also = fake'''
list = [ # [no]
  { x = 1, y.z = [2, 3] },
  "=,]", # }
  { w = 'a,}' }, ]
when = 1979-05-27 07:32:00
[t]
k = { }
[t.u."v w"]
k = "]"
[[arr]]
k = 1
[[arr]]
k = 2
[arr.sub]
k = 3
[[arr.inner]]
k = 4
[[arr.inner]]
k = 5
last = true"""


def paths(value: object, prefix: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found: set[tuple[str | int, ...]] = set()
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, inner in items:
        found.add((*prefix, key))
        found |= paths(inner, (*prefix, key))
    return found


def test_every_key_of_a_twisted_document_has_its_line() -> None:
    lines = scan_keys(DOCUMENT)
    assert set(lines) == paths(tomllib.loads(DOCUMENT))
    expected = {
        ("a", "b"): 2,
        ("quoted = key",): 3,
        ("long",): 4,
        ("lit.eral",): 8,
        ("list",): 10,
        ("list", 0, "x"): 11,
        ("list", 0, "y", "z"): 11,
        ("list", 0, "y", "z", 1): 11,
        ("list", 1): 12,
        ("list", 2, "w"): 13,
        ("when",): 14,
        ("t",): 15,
        ("t", "k"): 16,
        ("t", "u", "v w"): 17,
        ("t", "u", "v w", "k"): 18,
        ("arr",): 19,
        ("arr", 0, "k"): 20,
        ("arr", 1): 21,
        ("arr", 1, "k"): 22,
        ("arr", 1, "sub", "k"): 24,
        ("arr", 1, "inner", 0, "k"): 26,
        ("arr", 1, "inner", 1, "k"): 28,
        ("arr", 1, "inner", 1, "last"): 29,
    }
    assert {path: lines[path] for path in expected} == expected


@pytest.mark.parametrize("document", [BUFFERS, CALLS, "", "\n\n#", "a=1", "a = ''"])
def test_the_scan_finds_exactly_the_keys_that_the_parser_finds(document: str) -> None:
    assert set(scan_keys(document)) == paths(tomllib.loads(document))


def test_nesting_has_a_limit_that_can_be_reached() -> None:
    deep = "k = " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    scan_keys(deep)
    with pytest.raises(TooDeepError) as caught:
        scan_keys("\n" + "k = " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    assert caught.value.line == 2
    with pytest.raises(TooDeepError):
        scan_keys(".".join("a" * 40000) + " = 1")


KEYS = st.sampled_from(["a", "b", '"c d"', "'e.f'", '"\\u0067"', "h-1", "_", "7"])
DOTTED = st.lists(KEYS, min_size=1, max_size=3).map(" . ".join)
SCALARS = st.sampled_from(
    ["1", "-0.5e3", "true", '"x = [1]"', "'#'", '""', "''", '"""\n"" k = 1\n"""', "'''\n[x]'''",
     "1979-05-27T07:32:00Z", "07:32:00", "inf", '"\\\\"', '"\\""', '""""q""""']
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: "[\n" + ", # ]\n".join(v) + "\n]"),
        st.lists(st.tuples(DOTTED, inner), max_size=3).map(
            lambda v: "{ " + ", ".join(f"{k} = {x}" for k, x in v) + " }"
        ),
    ),
    max_leaves=6,
)
LINES = st.one_of(
    st.tuples(DOTTED, VALUES).map(lambda v: f"{v[0]} = {v[1]}"),
    DOTTED.map(lambda k: f"[{k}]"),
    DOTTED.map(lambda k: f"[[ {k} ]] # ]"),
    st.just("  # k = 1"),
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=8).map("\n".join))
def test_whatever_the_parser_accepts_is_scanned_alike(document: str) -> None:
    try:
        parsed = tomllib.loads(document)
    except tomllib.TOMLDecodeError:
        return
    assert set(scan_keys(document)) == paths(parsed)
