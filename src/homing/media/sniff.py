"""Does a file look like what it says it is? Judged by its first bytes, for the types people photograph, film and scan.

The purpose is small: a page that calls itself a photo, or a photo saved under another type, is refused while the phone
still has the original. It is no virus scanner. What a download may do in a browser is bounded elsewhere: attachment,
nosniff.
"""

from __future__ import annotations

SNIFF_BYTES = 4096
"""How much of a file's beginning is looked at: a PDF may start up to 1024 bytes in."""

_IMAGE_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"avif": "image/avif",
    b"avis": "image/avif",
}
_ISO_IMAGES = frozenset({"image/heic", "image/heif", "image/avif"})
_ISO_FILMS = frozenset(
    {"video/mp4", "video/quicktime", "video/3gpp", "video/3gpp2", "video/x-m4v", "audio/mp4", "audio/x-m4a"}
)
_MATROSKA = frozenset({"video/webm", "audio/webm", "video/x-matroska", "audio/x-matroska"})
_MPEG_AUDIO = frozenset({"audio/mpeg", "audio/mp3"})
_OGG = frozenset({"audio/ogg", "video/ogg", "audio/opus", "application/ogg"})
_WAVE = frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"})
_AVI = frozenset({"video/x-msvideo", "video/avi"})
_OFFICE = "application/vnd.openxmlformats-officedocument."
_ZIP = frozenset(
    {
        "application/zip",
        "application/x-zip-compressed",
        "application/epub+zip",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.google-earth.kmz",
        f"{_OFFICE}wordprocessingml.document",
        f"{_OFFICE}spreadsheetml.sheet",
        f"{_OFFICE}presentationml.presentation",
    }
)

_STARTS: tuple[tuple[bytes, frozenset[str]], ...] = (
    (b"\xff\xd8\xff", frozenset({"image/jpeg", "image/jpg", "image/pjpeg"})),
    (b"\x89PNG\r\n\x1a\n", frozenset({"image/png"})),
    (b"GIF87a", frozenset({"image/gif"})),
    (b"GIF89a", frozenset({"image/gif"})),
    (b"BM", frozenset({"image/bmp", "image/x-ms-bmp"})),
    (b"II*\x00", frozenset({"image/tiff", "image/x-adobe-dng"})),
    (b"MM\x00*", frozenset({"image/tiff", "image/x-adobe-dng"})),
    (b"\x1aE\xdf\xa3", _MATROSKA),
    (b"ID3", _MPEG_AUDIO),
    (b"\xff\xfb", _MPEG_AUDIO),
    (b"\xff\xf3", _MPEG_AUDIO),
    (b"\xff\xf2", _MPEG_AUDIO),
    (b"\xff\xf1", frozenset({"audio/aac"})),
    (b"\xff\xf9", frozenset({"audio/aac"})),
    (b"OggS", _OGG),
    (b"fLaC", frozenset({"audio/flac"})),
    (b"#!AMR", frozenset({"audio/amr"})),
    (b"PK\x03\x04", _ZIP),
    (b"PK\x05\x06", _ZIP),
)

CHECKED_TYPES: frozenset[str] = frozenset(
    {"application/pdf", "image/webp"}
    | _ISO_IMAGES
    | _ISO_FILMS
    | _WAVE
    | _AVI
    | frozenset().union(*(t for _, t in _STARTS))
)
"""Types whose first bytes are known: a file declared as one of them must begin like it."""


def sniff(head: bytes) -> frozenset[str]:
    """The types a file that begins with ``head`` may be of; empty where its beginning says nothing.

    ``head`` holds the first SNIFF_BYTES of the file, or all of a shorter one.
    """
    if head[4:8] == b"ftyp":
        return _ISO_IMAGES if _image_brands(head) else _ISO_FILMS
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return frozenset({"video/quicktime"})  # QuickTime from before the ftyp box
    if head[:4] == b"RIFF":
        return {b"WEBP": frozenset({"image/webp"}), b"WAVE": _WAVE, b"AVI ": _AVI}.get(head[8:12], frozenset())
    if b"%PDF-" in head[: 1024 + 5]:
        return frozenset({"application/pdf"})
    return next((types for start, types in _STARTS if head.startswith(start)), frozenset())


def mismatch(declared: str, head: bytes) -> str | None:
    """Why a file declared as ``declared`` cannot be one, as a sentence; None where it may be.

    Text is taken at its word unless it begins like something else or holds a NUL; so is every type not in
    CHECKED_TYPES. ``application/octet-stream`` promises nothing and is never wrong.
    """
    kind = declared.partition(";")[0].strip().lower()
    looks = sniff(head)
    if kind in CHECKED_TYPES:
        return None if kind in looks else f"it does not begin like {kind}{_rather(looks)}"
    if kind.startswith("text/"):
        if looks - {"image/bmp", "image/x-ms-bmp"} - _MPEG_AUDIO:  # "BM" and "ID3" begin words, too
            return f"it is not text{_rather(looks)}"
        utf_16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
        if b"\x00" in head and not utf_16:
            return "it is not text: it holds a NUL"
    return None


def _image_brands(head: bytes) -> bool:
    """Whether the ftyp box names a still image's brand, as its own or among the compatible ones."""
    box = head[8 : min(int.from_bytes(head[:4], "big"), 256)]
    return any(box[at : at + 4] in _IMAGE_BRANDS for at in range(0, len(box), 4))


def _rather(looks: frozenset[str]) -> str:
    return f" but like {min(looks)}" if looks else ""
