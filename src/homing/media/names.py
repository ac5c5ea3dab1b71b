"""What a client may call a file and its type, and how a download hands the name back.

A name is only ever shown and stored, never used as a path; it is checked all the same, because it ends on the disks of
people who download it.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from homing.protocol.errors import Problem

NAME_BYTES_MAX = 255
"""Bytes of UTF-8: what file systems take."""
TYPE_CHARS_MAX = 127

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(; ?charset=[a-z0-9_-]+)?")
_TURNS_TEXT = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that change the direction of text: with them "gpj.exe" can be made to read "exe.jpg"."""


def checked_filename(name: str) -> str:
    """``name``, composed (NFC). Raises Problem("invalid_envelope") where it is a path, empty, or not printable."""
    name = unicodedata.normalize("NFC", name)
    if not 0 < len(name.encode("utf-8", "surrogatepass")) <= NAME_BYTES_MAX:
        raise Problem("invalid_envelope", f"filename: 1 to {NAME_BYTES_MAX} bytes are possible.", path="/filename")
    if name.strip(" .") == "" or "/" in name or "\\" in name:
        raise Problem("invalid_envelope", "filename: a file's name without directories is needed.", path="/filename")
    if any(unicodedata.category(each) in ("Cc", "Cs") or each in _TURNS_TEXT for each in name):
        raise Problem("invalid_envelope", "filename: control characters are not possible.", path="/filename")
    return name


def checked_type(content_type: str) -> str:
    """``content_type`` in lower case: ``type/subtype``, with a charset at most. Raises Problem("invalid_envelope")."""
    content_type = content_type.strip().lower()
    if len(content_type) > TYPE_CHARS_MAX or not _TYPE.fullmatch(content_type):
        raise Problem(
            "invalid_envelope", "content_type: a media type such as image/jpeg is needed.", path="/content_type"
        )
    return content_type


def attachment(filename: str) -> str:
    """The Content-Disposition header (RFC 6266) that makes a browser save the file under this name."""
    letters = "".join(each for each in unicodedata.normalize("NFKD", filename) if not unicodedata.combining(each))
    plain = re.sub(r'[^ !#-\[\]-~]|["%]', "_", letters)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
