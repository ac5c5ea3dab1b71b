"""Metadata leave a file, pixels stay."""

import random

import pytest

from homing.media.strip import strip
from tests.media.images import SECRET, encoded, exif, opened, photo, scene, screenshot

WITH = {
    "image/jpeg": photo,
    "image/png": screenshot,
    "image/webp": lambda: encoded(scene(), "WEBP", exif=exif(), xmp=SECRET, lossless=True),
    "image/gif": lambda: encoded(scene(), "GIF", comment=SECRET) + SECRET,
}


@pytest.mark.parametrize("kind", WITH)
def test_what_is_not_the_image_goes_and_every_pixel_stays(kind: str) -> None:
    data = WITH[kind]()
    assert SECRET in data
    clean = strip(data, kind)
    assert SECRET not in clean
    assert dict(opened(clean).getexif()) == {}
    assert opened(clean).tobytes() == opened(data).tobytes()
    assert strip(clean, kind) == clean


def test_the_profile_of_the_colours_stays() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind, name in (("image/jpeg", "JPEG"), ("image/png", "PNG"), ("image/webp", "WEBP")):
        data = encoded(scene(), name, icc_profile=profile, exif=exif())
        assert opened(strip(data, kind)).info["icc_profile"] == profile


def test_progressive_and_animated_ones_stay_whole() -> None:
    data = encoded(scene(), "JPEG", progressive=True, exif=exif())
    assert opened(strip(data, "image/jpeg")).tobytes() == opened(data).tobytes()
    frames = [scene(), scene().rotate(180)]
    for kind, name in (("image/png", "PNG"), ("image/webp", "WEBP"), ("image/gif", "GIF")):
        clean = opened(strip(encoded(frames[0], name, save_all=True, append_images=frames[1:], duration=50), kind))
        assert clean.n_frames == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", WITH)
def test_damaged_files_are_refused_or_stripped_but_never_a_crash(kind: str) -> None:
    rng = random.Random(7)
    data = WITH[kind]()
    for _ in range(300):
        broken = bytearray(data[: rng.randrange(len(data))] if rng.random() < 0.5 else data)
        for _ in range(rng.randrange(8)):
            if broken:
                broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            strip(bytes(broken), kind)
        except ValueError:
            continue


def test_other_formats_are_not_understood() -> None:
    with pytest.raises(ValueError, match="image/tiff is not understood"):
        strip(b"II*\x00", "image/tiff")
