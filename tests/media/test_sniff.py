import pytest

from homing.media.sniff import CHECKED_TYPES, mismatch

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3"
HEIC = b"\x00\x00\x00\x24ftypheic\x00\x00\x00\x00mif1heic"
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2mp41"
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "
WEBM = b"\x1aE\xdf\xa3\x01\x00\x00\x00"


@pytest.mark.parametrize(
    ("declared", "head"),
    [
        ("image/png", PNG),
        ("image/jpeg", JPEG),
        ("image/gif", b"GIF89a..."),
        ("image/webp", WEBP),
        ("image/heic", HEIC),
        ("image/heif", HEIC),
        ("image/tiff", b"II*\x00...."),
        ("video/mp4", MP4),
        ("video/quicktime", b"\x00\x00\x00\x14ftypqt  "),
        ("video/quicktime", b"\x00\x00\x00\x08wide\x00\x00"),
        ("video/webm", WEBM),
        ("audio/mp4", b"\x00\x00\x00\x1cftypM4A \x00\x00\x00\x00"),
        ("audio/mpeg", b"ID3\x04\x00"),
        ("audio/wav", b"RIFF\x00\x00\x00\x00WAVEfmt "),
        ("application/pdf", PDF),
        ("application/pdf", b"\n" * 500 + PDF),
        ("application/zip", b"PK\x03\x04"),
        ("text/plain", b"hello"),
        ("text/plain", b""),
        ("text/plain", b"BM is how this sentence begins"),
        ("text/csv; charset=utf-8", "a;ü\n".encode()),
        ("text/plain", b"\xff\xfeh\x00i\x00"),
        ("application/json", b"{}"),
        ("application/octet-stream", PNG),
        ("application/x-survey", b"\x00\x01\x02"),
    ],
)
def test_a_file_that_begins_like_its_type_is_taken(declared: str, head: bytes) -> None:
    assert mismatch(declared, head) is None


@pytest.mark.parametrize(
    ("declared", "head", "sentence"),
    [
        ("image/png", JPEG, "it does not begin like image/png but like image/jpeg"),
        ("image/jpeg", b"", "it does not begin like image/jpeg"),
        ("image/jpeg", b"<html><script>", "it does not begin like image/jpeg"),
        ("IMAGE/PNG; charset=x", b"nothing", "it does not begin like image/png"),
        ("image/heic", MP4, "it does not begin like image/heic but like audio/mp4"),
        ("video/mp4", HEIC, "it does not begin like video/mp4 but like image/avif"),
        ("application/pdf", b"x" * 2000 + PDF, "it does not begin like application/pdf"),
        ("application/pdf", PNG, "it does not begin like application/pdf but like image/png"),
        ("text/plain", PNG, "it is not text but like image/png"),
        ("text/csv", b"a,b\x00c", "it is not text: it holds a NUL"),
    ],
)
def test_a_file_of_another_type_is_refused_with_a_sentence(declared: str, head: bytes, sentence: str) -> None:
    assert mismatch(declared, head) == sentence


def test_every_checked_type_refuses_nonsense() -> None:
    assert len(CHECKED_TYPES) > 40
    assert [kind for kind in sorted(CHECKED_TYPES) if mismatch(kind, b"nonsense") is None] == []
