"""Images that are really made, with everything a camera and a mischief-maker write into them."""

import io
import struct
import zlib
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pillow_heif import register_heif_opener

register_heif_opener()

GPS = 0x8825
SECRET = b"50.0875N 14.4213E"
"""What must not be found in anything that strangers get."""


def scene(width: int = 640, height: int = 480, mode: str = "RGB") -> Image.Image:
    """Red above, blue below, with a green stripe on the left: one sees which way is up."""
    image = Image.new("RGB", (width, height), (220, 30, 30))
    image.paste((30, 30, 220), (0, height // 2, width, height))
    image.paste((30, 200, 30), (0, 0, width // 8, height))
    return image if mode == "RGB" else image.convert(mode)


def exif(orientation: int = 1) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    found[0x010F] = SECRET.decode()
    found[GPS] = {1: "N", 2: (50.0, 5.0, 15.0), 3: "E", 4: (14.0, 25.0, 16.0)}
    return found


def encoded(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:  # noqa: A002 - Pillow's own word
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def photo(orientation: int = 1, **options: Any) -> bytes:
    """A camera's JPEG: EXIF, XMP, a comment, and a preview behind its end."""
    data = encoded(scene(), exif=exif(orientation), comment=SECRET, xmp=b"<x:xmpmeta>" + SECRET, **options)
    return data + b"\x00" * 16 + SECRET


def iphone_photo(orientation: int = 1) -> bytes:
    """A HEIC as iPhones make it, with EXIF and XMP. How it is turned is said by the file, and by EXIF again."""
    return encoded(scene(), "HEIF", exif=exif(orientation).tobytes(), xmp=b"<x:xmpmeta>" + SECRET)


def heic_saying(width: int, height: int) -> bytes:
    """A HEIC whose head speaks of so many pixels, and which has 640 by 480."""
    whole = iphone_photo()
    assert whole.count(b"ispe") == 1
    at = whole.index(b"ispe") + 8
    return whole[:at] + struct.pack(">II", width, height) + whole[at + 8 :]


def screenshot() -> bytes:
    """A PNG with text and EXIF in it."""
    text = PngInfo()
    text.add_text("Comment", SECRET.decode())
    text.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    return encoded(scene(), "PNG", pnginfo=text, exif=exif()) + SECRET


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def is_upright(image: Image.Image) -> bool:
    """Whether ``scene`` is the way it was made."""
    rgb = image.convert("RGB")

    def main(x: float, y: float) -> int:
        pixel = rgb.getpixel((int(rgb.width * x), int(rgb.height * y)))
        assert isinstance(pixel, tuple)
        return pixel.index(max(pixel))

    return rgb.width > rgb.height and (main(0.5, 0.2), main(0.5, 0.8), main(0.05, 0.5)) == (0, 2, 1)


def png_saying(width: int, height: int) -> bytes:
    """A few bytes of PNG whose head speaks of so many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def png_unpacking_to(bytes_: int) -> bytes:
    """A small PNG with a compressed text of so many bytes."""
    whole = encoded(scene(8, 8), "PNG")
    text = b"a\0\0" + zlib.compress(b"\0" * bytes_, 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    return whole[:33] + chunk + whole[33:]
