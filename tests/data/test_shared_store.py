"""A cache on an object store: one machine prepares the data, another one fetches them."""

import numpy as np
import pytest

from prodgen.core.errors import BadData, StorageError
from prodgen.data import prepare
from tests import fake_gcs
from tests.tiny import Squares, tiny

CACHE = "gs://bucket/cache"


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    with fake_gcs.serve() as (bucket, url):
        for name, value in fake_gcs.environment(url).items():
            monkeypatch.setenv(name, value)
        fake_gcs.install()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first"))
        yield bucket


def test_data_are_prepared_once_and_verified_by_each_machine(bucket, tmp_path, monkeypatch):
    data, lines = tiny(data__cache_dir=CACHE, data__workers=1).data, []
    store = prepare.open_or_prepare(data, lines.append, Squares())
    posts = [name for method, name in bucket.requests if method == "POST"]
    assert posts[-1] == f"cache/{store.path.name}/meta.json" and "sending" in lines[-1]

    # The same machine sends nothing again; another one prepares nothing.
    bucket.requests.clear()
    prepare.open_or_prepare(data, lines.append, Squares())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    second_store = prepare.open_or_prepare(data, lines.append, Squares())
    assert second_store.path != store.path and "fetching" in lines[-1]
    assert second_store.digest() == store.digest()
    ids = store.ids("train")
    np.testing.assert_array_equal(store.fetch(ids)["image"], second_store.fetch(ids)["image"])
    assert not [name for method, name in bucket.requests if method == "POST"]

    # A damaged store is refused, and its place in the bucket is named.
    name = next(name for name in bucket.objects if name.endswith(".bin"))
    content, generation = bucket.objects[name]
    bucket.objects[name] = content[:-1] + bytes([content[-1] ^ 1]), generation
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "third"))
    with pytest.raises(BadData, match=f"in gs://bucket/cache/{store.path.name} are damaged"):
        prepare.open_or_prepare(data, lines.append, Squares())


def test_a_cache_that_refuses_writes_is_named(bucket):
    bucket.refusal = 403
    with pytest.raises(StorageError, match="gs://bucket/cache") as error:
        prepare.open_or_prepare(tiny(data__cache_dir=CACHE).data, source=Squares())
    assert error.value.code == 74
