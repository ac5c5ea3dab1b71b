"""The reader of bodies, without a server: what it lets through and what it refuses, and that it is cheap."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.protocol.errors import Problem
from homing.protocol.limits import Limits
from homing.protocol.messages import PushRequest
from homing.server.bodies import decode
from homing.server.writing import Columns

LIMITS = Limits(body_bytes_max=4 * 2**20, depth_max=8)


class Anything(msgspec.Struct):
    value: Any = None
    name: str = ""


def reading(body: bytes, kind: Any = Anything) -> Any:
    return asyncio.run(decode(body, kind, limits=LIMITS))


def refusal(body: bytes, kind: Any = Anything) -> tuple[str, str]:
    with pytest.raises(Problem) as caught:
        reading(body, kind)
    return caught.value.code.code, caught.value.detail


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"  \n", "invalid_json"),
        (b'{"value": 1', "invalid_json"),
        (b'{"value": 1} x', "invalid_json"),
        (b'{"value": 1,}', "invalid_json"),
        (b'{"value": NaN}', "invalid_json"),
        (b'{"value": Infinity}', "invalid_json"),
        (b'{"value": -Infinity}', "invalid_json"),
        (b'{"value": 1e400}', "invalid_json"),
        (b'{"value": -1e400}', "invalid_json"),
        (b'{"value": ' + b"9" * 5000 + b"}", "invalid_json"),
        (b'{"value": "\xff"}', "invalid_json"),
        (b'{"value": "\xc0\xaf"}', "invalid_json"),
        (b'{"value": "\xed\xa0\x80"}', "invalid_json"),
        (b'\xef\xbb\xbf{"value": 1}', "invalid_json"),
        ('{"value": 1}'.encode("utf-16"), "invalid_json"),
        (b'{"value": "\\ud800"}', "invalid_json"),
        (b'{"value": "\\udc00 \\ud800"}', "invalid_json"),
        (b'{"\\ud800": 1}', "invalid_json"),
        (b'{"value": "\\u0000"}', "invalid_json"),
        (b'{"value": "a\\\\\\u0000"}', "invalid_json"),
        (b'{"value": "\x00"}', "invalid_json"),
        (b"[]", "invalid_envelope"),
        (b'"text"', "invalid_envelope"),
        (b"null", "invalid_envelope"),
        (b'{"name": 5}', "invalid_envelope"),
        (b'{"value": 1, "value": 2}', "duplicate_key"),
        (b'{"value": 1, "value" : 1}', "duplicate_key"),
        (b'{"value": [{"a": {"b": 1, "b": 1}}]}', "duplicate_key"),
        (b'{"unknown": {"b": 1, "b": 1}}', "duplicate_key"),
        (b'{"value": 1, "\\u0076alue": 1}', "duplicate_key"),
        # What a count of colons alone would let through: an escaped colon that makes up for the lost key.
        (b'{"value": 1, "value": "\\u003a"}', "duplicate_key"),
        (b'{"value": 1, "value": "\\u003A"}', "duplicate_key"),
        (b'{"value": 1, "value": "\\"\\u003a"}', "duplicate_key"),
        (b"[" * 100_000, "too_deep"),
        (b"[" * 2000 + b"]" * 2000, "too_deep"),
        (b'{"value":' * 9 + b"1" + b"}" * 9, "too_deep"),
        (b'{"value":' * 8 + b"{}" + b"}" * 8, "too_deep"),
        (b'{"value": [' + b"[" * 7 + b"]" * 7 + b", 1" * 5000 + b"]}", "too_deep"),
    ],
)
def test_refuses(body: bytes, code: str) -> None:
    assert refusal(body)[0] == code


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"value": 1}', 1),
        (b'\r\n\t {"value" : -0.5e-3 }', -0.0005),
        (b'{"value": "\\ud83d\\ude00"}', "😀"),
        (b'{"value": "\\\\ud800"}', "\\ud800"),
        (b'{"value": "\\\\u0000"}', "\\u0000"),
        (b'{"value": "a\\":b\\u003a"}', 'a":b:'),
        (b'{"value": {"a": 1, "b": {"a": 1}}}', {"a": 1, "b": {"a": 1}}),
        (b'{"value":' + b"[" * 7 + b"]" * 7 + b"}", [[[[[[[]]]]]]]),
        (b'{"value": ' + b"9" * 30 + b"}", int("9" * 30)),
        ('{"value": "e\u0301 und \u00e9"}'.encode(), "e\u0301 und \u00e9"),
    ],
)
def test_accepts(body: bytes, value: Any) -> None:
    assert reading(body) == Anything(value)


def test_says_where_the_envelope_is_wrong() -> None:
    assert refusal(b'{"items": [], "device_id": 7}', PushRequest) == (
        "invalid_envelope",
        "Expected `str | null`, got `int` - at `$.device_id`",
    )


def test_half_a_surrogate_pair_in_one_item_is_left_to_that_item() -> None:
    """A phone that cuts an emoji in two must not stop its queue: the item is refused, the others are not."""
    body = rb'{"items": [{"payload": {"a": "x\ud83d"}}, {"payload": {"a": "\ud83d\ude00", "b": "\\ud83d"}}]}'
    assert [bytes(item) for item in reading(body, PushRequest).items] == [
        rb'{"payload": {"a": "x\u0000"}}',
        rb'{"payload": {"a": "\ud83d\ude00", "b": "\\ud83d"}}',
    ]


def test_nul_in_one_item_is_left_to_that_item() -> None:
    body = rb'{"items": [{"payload": {"a": "\u0000"}}]}'
    assert [bytes(item) for item in reading(body, PushRequest).items] == [rb'{"payload": {"a": "\u0000"}}']


def test_nul_in_a_column_is_left_to_the_row_but_not_in_a_columns_name() -> None:
    assert reading(rb'{"a": "\u0000"}', Columns) == {"a": msgspec.Raw(rb'"\u0000"')}
    assert refusal(rb'{"a\u0000": 1}', Columns) == (
        "invalid_json",
        "NUL, which no text may hold, in the name of a member",
    )


@pytest.mark.parametrize("text", [rb"\u0000", rb"\ud800", rb"a\\\u0000"])
def test_nul_beside_the_items_is_not(text: bytes) -> None:
    assert refusal(b'{"items": [], "batch_token": "' + text + b'"}', PushRequest) == (
        "invalid_json",
        "NUL, which no text may hold - at `$.batch_token`",
    )


@pytest.mark.parametrize("inner", [b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b"[" * 9 + b"]" * 9])
def test_keys_and_depth_of_an_item_are_those_of_the_body(inner: bytes) -> None:
    assert refusal(b'{"items":[{"payload":' + inner + b"}]}", PushRequest)[0] in ("duplicate_key", "too_deep")


keys = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=4)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
writers: list[Callable[[Any], str]] = [
    json.dumps,
    lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    lambda value: json.dumps(value, indent=2),
    lambda value: json.dumps(value).replace(":", "\\u003a") if isinstance(value, str) else json.dumps(value),
]


@given(value=json_values, writer=st.sampled_from(writers))
def test_whatever_json_says_comes_through(value: Any, writer: Callable[[Any], str]) -> None:
    limits = Limits(depth_max=64)
    body = f'{{"value": {writer(value)}}}'.encode()
    assert asyncio.run(decode(body, Anything, limits=limits)) == Anything(json.loads(body)["value"])


@given(value=st.dictionaries(keys, json_values, min_size=1, max_size=4), data=st.data(), ascii_only=st.booleans())
def test_a_key_that_is_there_twice_is_always_found(
    value: dict[str, Any], data: st.DataObject, ascii_only: bool
) -> None:
    pairs = list(value.items())
    twin = data.draw(st.sampled_from(pairs))
    pairs.insert(data.draw(st.integers(0, len(pairs))), (twin[0], data.draw(json_values)))
    separator = data.draw(st.sampled_from([":", ": ", " : ", "\n:\t"]))

    def write(each: Any) -> str:
        return json.dumps(each, ensure_ascii=ascii_only)

    inner = "{" + ",".join(f"{write(key)}{separator}{write(each)}" for key, each in pairs) + "}"
    with pytest.raises(Problem) as caught:
        asyncio.run(decode(f'{{"value": {inner}}}'.encode(), Anything, limits=Limits(depth_max=64)))
    assert caught.value.code.code == "duplicate_key"
