"""Which tenant a request is for, from what it shows."""

import base64

import pytest

from homing.tenants.choose import Contradiction, audience_of, choose, place_of

HOSTS = {"acme.example.org": "acme", "beta.example.org": "beta"}
NO = Contradiction()


def token(payload: str) -> bytes:
    middle = base64.urlsafe_b64encode(payload.encode()).rstrip(b"=")
    return b"Bearer aGVhZA." + middle + b".c2ln"


@pytest.mark.parametrize(
    ("host", "header", "place"),
    [
        (b"acme.example.org", None, "acme"),
        (b"ACME.example.org:8443", None, "acme"),
        (b"acme.example.org.", None, "acme"),
        (b"127.0.0.1:8000", None, None),
        (b"[::1]:8000", None, None),
        (b"[::1]", None, None),
        (None, None, None),
        (b"\xff", None, None),
        (b"127.0.0.1:8000", b"acme", "acme"),
        (b"acme.example.org", b"acme", "acme"),
        (b"acme.example.org", b"beta", NO),
        (b"acme.example.org", b"default", NO),
        (b"127.0.0.1", b"nobody", "nobody"),
        (b"127.0.0.1", b"", ""),
    ],
)
def test_header_and_host_say_where_a_request_was_sent(host: bytes, header: bytes, place: object) -> None:
    assert place_of(HOSTS, host=host, header=header) == place


@pytest.mark.parametrize(
    ("place", "audience", "chosen"),
    [
        (None, None, "default"),
        ("acme", None, "acme"),
        ("", None, ""),
        (None, "acme", "acme"),
        ("acme", "acme", "acme"),
        ("acme", "beta", NO),
        ("acme", "default", NO),
        ("default", "acme", NO),
        (NO, "acme", NO),
        (NO, None, NO),
    ],
)
def test_the_token_must_be_at_home_where_the_request_was_sent(
    place: str | Contradiction | None, audience: str | None, chosen: object
) -> None:
    assert choose(place, audience) == chosen


@pytest.mark.parametrize(
    ("authorization", "audience"),
    [
        (token('{"aud": "acme"}'), "acme"),
        (token('{"aud": "acme", "sub": 7}'), "acme"),
        (token('{"sub": 7}'), "default"),
        (token('{"aud": ["acme"]}'), None),
        (token('{"aud": 7}'), None),
        (token("acme"), None),
        (b"Bearer a.b", None),
        (b"Bearer a.!!!.c", None),
        (b"Bearer \xff.\xff.\xff", None),
        (b"Bearer " + b"a" * 5000, None),
        (b"", None),
        (None, None),
    ],
)
def test_what_a_token_claims_is_read_without_being_believed(authorization: bytes, audience: str | None) -> None:
    assert audience_of(authorization) == audience
