import re
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.media.names import attachment, checked_filename, checked_type
from homing.protocol.errors import Problem


@pytest.mark.parametrize(
    "name", ["a.jpg", "Grüße aus Köln.png", "写真.heic", "no extension", ".hidden", "a" * 255, "x..y"]
)
def test_a_name_is_kept_as_it_is(name: str) -> None:
    assert checked_filename(name) == name


def test_a_name_typed_on_another_keyboard_is_the_same_name() -> None:
    assert checked_filename("Cafe\u0301.jpg") == "Café.jpg"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        " . ",
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\boot.ini",
        "..\\..\\x",
        "a/b",
        "a\x00.jpg",
        "a\r\nX: y",
        "\x7f",
        "photo\u202egpj.exe",
        "\ud800",
        "a" * 256,
        "ü" * 128,
    ],
)
def test_a_path_or_a_trick_is_no_name(name: str) -> None:
    with pytest.raises(Problem) as caught:
        checked_filename(name)
    assert (caught.value.code.code, caught.value.extra) == ("invalid_envelope", {"path": "/filename"})


@pytest.mark.parametrize(
    ("given_type", "kept"),
    [
        ("image/jpeg", "image/jpeg"),
        (" Image/PNG ", "image/png"),
        ("text/csv; charset=UTF-8", "text/csv; charset=utf-8"),
    ],
)
def test_a_type_is_kept_in_lower_case(given_type: str, kept: str) -> None:
    assert checked_type(given_type) == kept


@pytest.mark.parametrize(
    "kind", ["", "jpeg", "image/", "/png", "image/png\r\nX: y", "a/b/c", "text/html; x=<y>", "x/" + "y" * 130]
)
def test_anything_else_is_no_type(kind: str) -> None:
    with pytest.raises(Problem) as caught:
        checked_type(kind)
    assert (caught.value.code.code, caught.value.extra) == ("invalid_envelope", {"path": "/content_type"})


@given(st.text(min_size=1, max_size=60))
def test_the_header_is_one_printable_line_and_gives_every_name_back(name: str) -> None:
    try:
        name = checked_filename(name)
    except Problem:
        return
    header = attachment(name)
    assert re.fullmatch(r"[ -~]+", header)
    message = Message()
    message["Content-Disposition"] = header.replace("filename=", "plain=")
    assert (message.get_content_disposition(), message.get_filename()) == ("attachment", name)
