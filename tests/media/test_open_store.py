from pathlib import Path

import pytest

from homing.media import open_store
from homing.media.bucket import Bucket
from homing.media.folder import Folder
from homing.settings import SettingsError


def test_without_a_url_files_lie_in_a_folder_beside_the_data(tmp_path: Path) -> None:
    store = open_store(None, data_dir=tmp_path / "data", bytes_max=7)
    assert isinstance(store, Folder)
    assert store.bytes_max == 7
    assert sorted(path.name for path in (tmp_path / "data" / "media").iterdir()) == ["files", "lock", "parts"]


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/in/here?region=eu-central-1", "gs://bucket/in/here"])
def test_a_url_names_a_bucket_and_asks_it_nothing(tmp_path: Path, url: str) -> None:
    store = open_store(url, data_dir=tmp_path, bytes_max=7)
    assert isinstance(store, Bucket)
    assert (store.bytes_max, dict(store.put_headers), list(tmp_path.iterdir())) == (7, {}, [])


def test_azure_wants_a_header_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "somebody")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "bm90aGluZw==")
    store = open_store("az://container/here", data_dir=tmp_path, bytes_max=7)
    assert isinstance(store, Bucket)
    assert dict(store.put_headers) == {"x-ms-blob-type": "BlockBlob"}


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("memory:///", "memory:// cannot sign addresses; use s3://, gs:// or az://, or leave it out"),
        ("file:///", "file:// cannot sign addresses; use s3://, gs:// or az://, or leave it out"),
        ("http://example.org/x", "http:// cannot sign addresses; use s3://, gs:// or az://, or leave it out"),
        ("s3://b?colour=blue", "unknown option colour; there are endpoint, region, virtual_hosted_style_request"),
        ("a folder", "relative URL without a base"),
    ],
)
def test_anything_else_stops_the_start_with_a_sentence(tmp_path: Path, url: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_store(url, data_dir=tmp_path, bytes_max=7)
    assert str(caught.value) == f"HOMING_MEDIA_URL: {sentence}"
