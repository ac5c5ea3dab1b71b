from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from homing.media.links import DOWNLOAD_PATH, UPLOAD_PATH, checked_key, signed_path
from homing.protocol.errors import Problem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "20260301/0123456789abcdef0123456789abcdef"
OLD, NEW = b"o" * 32, b"n" * 32
EXTRA = {"filename": "Grüße & more=1\n.png", "content_type": "image/png"}


def address(secrets: list[bytes], path: str = UPLOAD_PATH, **changed: object) -> str:
    return signed_path(path, KEY, secrets=secrets, expires=int(NOW.timestamp()) + 300, **changed)  # type: ignore[arg-type]


def check(
    url: str, secrets: list[bytes], path: str = UPLOAD_PATH, at: datetime = NOW, extra: tuple[str, ...] = ()
) -> str:
    parts = urlsplit(url)
    key = unquote(parts.path).removeprefix(f"{path}/")
    query = parse_qsl(parts.query, keep_blank_values=True)
    return checked_key(path, key, query, secrets=secrets, now=at, extra=extra)


def test_an_address_names_its_key_until_it_expires() -> None:
    url = address([NEW])
    assert check(url, [NEW]) == KEY
    assert check(url, [NEW], at=NOW + timedelta(seconds=300)) == KEY
    with pytest.raises(Problem, match="invalid_link"):
        check(url, [NEW], at=NOW + timedelta(seconds=301))


def test_what_it_says_besides_is_signed_too() -> None:
    url = address([NEW], DOWNLOAD_PATH, extra=EXTRA)
    assert dict(parse_qsl(urlsplit(url).query))["filename"] == EXTRA["filename"]
    assert check(url, [NEW], DOWNLOAD_PATH, extra=tuple(EXTRA)) == KEY
    with pytest.raises(Problem, match="invalid_link"):
        check(url.replace("image%2Fpng", "text%2Fhtml"), [NEW], DOWNLOAD_PATH, extra=tuple(EXTRA))


def test_keys_can_be_changed_while_addresses_are_about() -> None:
    assert check(address([OLD]), [NEW, OLD]) == KEY
    with pytest.raises(Problem, match="invalid_link"):
        check(address([OLD]), [NEW])


def test_every_alteration_of_every_character_is_noticed() -> None:
    url = address([NEW])
    start = url.index(KEY)
    tried = 0
    for place in range(start, len(url)):
        for other in ("A", "0", "/", "&", "=", "%", ".", "ä", ""):
            altered = url[:place] + other + url[place + 1 :]
            if altered == url:
                continue
            tried += 1
            with pytest.raises(Problem) as caught:
                check(altered, [NEW])
            assert caught.value.document() == Problem("invalid_link").document()
    assert tried > 500


@pytest.mark.parametrize("added", ["&expires=99999999999", "&signature=x", "&x=1", "&expires=", "&EXPIRES=1"])
def test_nothing_can_be_added(added: str) -> None:
    with pytest.raises(Problem, match="invalid_link"):
        check(address([NEW]) + added, [NEW])


def test_an_address_to_send_to_is_not_one_to_fetch_from() -> None:
    url = address([NEW]).replace(UPLOAD_PATH, DOWNLOAD_PATH)
    with pytest.raises(Problem, match="invalid_link"):
        check(url, [NEW], DOWNLOAD_PATH)
