"""Reads one image and writes its variants: a program of its own, run for each image and nothing else.

Decoders of images are old C that strangers send bytes to. So they run in a process that knows no secret and has a bound
on its memory, its time and the size of what it writes; whatever happens to it, a try has failed and nothing more. It is
run by its path, without the rest of Homing, which is most of its start.

Arguments: one JSON object, see ``Order``. Answer: one line of JSON, either ``{"problem": "…"}``, a sentence about the
image, or ``{"width", "height", "upright", "animated", "made": [{"kind", "format", "width", "height", "path"}]}``; width
and height of the whole image as it is looked at.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, TypedDict

from PIL import Image, ImageCms, UnidentifiedImageError

ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)


class Order(TypedDict):
    """``reader`` is Pillow's name of the only format that is tried: a file is what it was declared as, or broken.
    ``boxes``: kind → longest side in pixels. ``whole``: write the whole image too, even where it is upright already."""

    path: str
    folder: str
    reader: str
    boxes: dict[str, int]
    whole: bool
    pixels_max: int
    memory_bytes_max: int
    seconds_max: int


class RefusedError(Exception):
    """The image cannot be used; the sentence says why."""


def main() -> None:
    order: Order = json.loads(sys.argv[1])
    _bound(order)
    try:
        answer = make(order)
    except RefusedError as refused:
        answer = {"problem": str(refused)}
    except MemoryError:
        answer = {"problem": "reading it needs more memory than an image may take"}
    except Exception as error:
        # Pillow's readers raise what they like: OSError, SyntaxError, ValueError, struct.error, KeyError and others.
        answer = {"problem": f"it cannot be read: {type(error).__name__}: {error}"[:300]}
    sys.stdout.write(json.dumps(answer) + "\n")


def make(order: Order) -> dict[str, Any]:
    """Raises RefusedError, and whatever Pillow raises."""
    Image.MAX_IMAGE_PIXELS = order["pixels_max"]
    warnings.simplefilter("ignore", UserWarning)  # damaged EXIF is no reason to refuse the pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    if order["reader"] == "HEIF":
        _read_heif()
    try:
        image = Image.open(order["path"], formats=[order["reader"]])
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise _too_many(order) from None
    except UnidentifiedImageError:
        raise RefusedError(f"it is no {order['reader']} file") from None
    width, height = image.size
    if width * height > order["pixels_max"]:
        raise _too_many(order)
    animated = bool(getattr(image, "is_animated", False))
    turn = _orientation(image)
    profile = image.info.get("icc_profile")
    whole = order["whole"] or (turn != 1 and not animated)
    if not whole:  # JPEG's decoder makes halves, quarters and eighths by itself, in a fraction of the time and memory
        image.draft("RGB", (2 * max(order["boxes"].values()),) * 2)
    image.load()
    if turn in _SIDEWAYS:
        width, height = height, width
    folder = Path(order["folder"])
    made: list[dict[str, Any]] = []
    plain = _plain(image, profile)
    if whole:
        made += _write(_turned(plain, turn), "original", folder, formats=(_whole_format(plain, order["reader"]),))
    for kind, box in sorted(order["boxes"].items(), key=lambda each: -each[1]):
        plain.thumbnail((box, box), Image.Resampling.LANCZOS, reducing_gap=2.0)
        made += _write(_turned(plain, turn), kind, folder, formats=(_fallback(plain), "webp", "avif"))
    return {"width": width, "height": height, "upright": turn == 1, "animated": animated, "made": made}


def _read_heif() -> None:
    """Teach Pillow the format of phones' cameras, and no more of it than the picture: nobody looks at the rest here.
    One thread, as the bound on memory counts the stacks of all. Its decoder turns the picture itself."""
    from pillow_heif import register_heif_opener  # noqa: PLC0415 - an extra, and most images do without

    register_heif_opener(DECODE_THREADS=1, THUMBNAILS=False, DEPTH_IMAGES=False, AUX_IMAGES=False)


def _too_many(order: Order) -> RefusedError:
    return RefusedError(f"it has more than {order['pixels_max']} pixels")


def _orientation(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # whatever is wrong with its EXIF, the pixels may be good
        return 1
    return turn if turn in _TURNS else 1


def _turned(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def _plain(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The pixels as every screen takes them: 8 bits, grey, RGB or RGBA, in sRGB, and nothing beside them."""
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value * (1 / 256) + 0).convert("L")
    elif image.mode in ("I", "F"):
        low, high = _extrema(image)
        scale = 255 / (high - low) if high > low else 0
        image = image.point(lambda value: value * scale + -low * scale).convert("L")
    if profile is not None and image.mode in ("RGB", "RGBA", "CMYK"):
        image = _in_srgb(image, profile)
    if image.mode in ("RGB", "L", "RGBA"):
        plain = image.copy() if image.mode != "RGBA" or _uses_alpha(image) else image.convert("RGB")
    elif "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        plain = image.convert("RGBA")
        plain = plain if _uses_alpha(plain) else plain.convert("RGB")
    else:
        plain = image.convert("L" if image.mode == "1" else "RGB")
    plain.info.clear()
    return plain


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    from io import BytesIO  # noqa: PLC0415 - only here

    try:
        given = ImageCms.ImageCmsProfile(BytesIO(profile))
        turned = ImageCms.profileToProfile(
            image, given, ImageCms.createProfile("sRGB"), outputMode="RGBA" if image.mode == "RGBA" else "RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # colours a little off are better than none
    return turned or image


def _uses_alpha(image: Image.Image) -> bool:
    return _extrema(image.getchannel("A"))[0] < 255


def _extrema(channel: Image.Image) -> tuple[float, float]:
    low, high = channel.getextrema()
    assert not isinstance(low, tuple)
    assert not isinstance(high, tuple)
    return low, high


def _fallback(image: Image.Image) -> str:
    """What every client reads."""
    return "png" if image.mode == "RGBA" else "jpeg"


def _whole_format(image: Image.Image, reader: str) -> str:
    """What was without loss stays so. Not WebP or AVIF, whose encoders take a gigabyte for fifty megapixels."""
    return "png" if reader in ("PNG", "TIFF", "BMP", "GIF") else _fallback(image)


_OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 82, "optimize": True, "progressive": True},
    "png": {"compress_level": 6},
    "webp": {"quality": 78, "method": 4},
    "avif": {"quality": 58, "speed": 8, "max_threads": 1},
}
_WHOLE_OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 95, "subsampling": 0},
    "png": {"compress_level": 6},
}


def _write(image: Image.Image, kind: str, folder: Path, *, formats: tuple[str, ...]) -> list[dict[str, Any]]:
    options = _WHOLE_OPTIONS if kind == "original" else _OPTIONS
    made = []
    for name in formats:
        path = folder / f"{kind}.{name}"
        image.save(path, format=name.upper(), **options[name])
        made.append({"kind": kind, "format": name, "width": image.width, "height": image.height, "path": str(path)})
    return made


def _bound(order: Order) -> None:
    memory, seconds = order["memory_bytes_max"], order["seconds_max"]
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing fails instead


if __name__ == "__main__":
    main()
