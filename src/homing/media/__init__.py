"""Files: a promise (presign), the bytes (upload), the proof (verify), the way back (download), the broom (sweep)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from homing.media.bucket import Bucket
from homing.media.download import MediaFile, MediaOwner, signed_download
from homing.media.folder import Folder
from homing.media.store import Store
from homing.media.sweep import sweep
from homing.media.verify import Upload, verify_uploads
from homing.settings import SettingsError

__all__ = ["MediaFile", "MediaOwner", "Store", "Upload", "open_store", "signed_download", "sweep", "verify_uploads"]

_OPTIONS = {"endpoint", "region", "virtual_hosted_style_request"}


def open_store(media_url: str | None, *, data_dir: Path, bytes_max: int) -> Store:
    """The store behind ``settings.media_url``; None is the folder ``data_dir/media``.

    ``s3://bucket/prefix``, ``gs://…`` or ``az://…``; the query may name ``endpoint``, ``region`` and
    ``virtual_hosted_style_request``. Credentials come from the environment, as the provider's own tools read them.
    Raises SettingsError where the URL is none of these, OSError where the folder cannot be made.
    """
    if media_url is None:
        return Folder(data_dir / "media", bytes_max=bytes_max)
    parts = urlsplit(media_url)
    options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    if unknown := set(options) - _OPTIONS:
        raise SettingsError(
            f"HOMING_MEDIA_URL: unknown option {', '.join(sorted(unknown))}; there are {', '.join(sorted(_OPTIONS))}"
        )
    keywords: dict[str, Any] = {
        "config": options,
        # Clear text only where the operator wrote it.
        "client_options": {"allow_http": options.get("endpoint", "").startswith("http://"), "connect_timeout": "5s"},
        "retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
    }
    try:
        objects = from_url(parts._replace(query="").geturl(), **keywords)
    except (BaseError, ValueError) as error:
        raise SettingsError(f"HOMING_MEDIA_URL: {str(error).partition(chr(10))[0]}") from error
    if not isinstance(objects, S3Store | GCSStore | AzureStore):
        raise SettingsError(
            f"HOMING_MEDIA_URL: {parts.scheme}:// cannot sign addresses; use s3://, gs:// or az://, or leave it out"
        )
    return Bucket(objects, bytes_max=bytes_max)
