"""The server, as minio-py speaks S3 to it, with its own defaults."""

import io
import os
import threading
import urllib.request
from datetime import timedelta

import pytest
from tools import LARGE, MIB, body

minio = pytest.importorskip("minio")
BUCKET = "minio-py"


def connect(address, secret="secret"):
    return minio.Minio(
        endpoint=address, access_key="id", secret_key=secret, secure=False, region="local"
    )


@pytest.fixture
def client():
    client = connect(os.environ["PARTSTORE_S3"])
    client.make_bucket(bucket_name=BUCKET)
    yield client
    found = client.list_objects(bucket_name=BUCKET, recursive=True)
    listed = [minio.deleteobjects.DeleteObject(one.object_name) for one in found]
    gone = client.remove_objects(bucket_name=BUCKET, delete_object_list=listed)
    assert list(gone) == []
    client.remove_bucket(bucket_name=BUCKET)


def put(client, key, data, **more):
    named = dict(bucket_name=BUCKET, object_name=key)
    return client.put_object(data=io.BytesIO(data), length=len(data), **named, **more)


def read(client, key, **more):
    got = client.get_object(bucket_name=BUCKET, object_name=key, **more)
    try:
        return got.read()
    finally:
        got.close()
        got.release_conn()


def test_files_go_there_and_back(client, files):
    for path in files.rglob("*"):
        if path.is_file():
            name = str(path.relative_to(files))
            client.fput_object(
                bucket_name=BUCKET, object_name=name, file_path=str(path)
            )
            assert read(client, name) == path.read_bytes()


def test_a_stream_of_unknown_length_goes_in_parts(client):
    named = dict(bucket_name=BUCKET, object_name="stream")
    data = io.BytesIO(body(LARGE))
    client.put_object(data=data, length=-1, part_size=5 * MIB, **named)
    told = client.stat_object(**named)
    assert told.size == LARGE and "-" in told.etag
    assert read(client, "stream") == body(LARGE)


def test_odd_keys(client):
    keys = ["a b", "a+b", "a%20b", "ü/ñ/日本", "a//b", "dir/", "'\"<&>", "x=1&y=2?#"]
    for key in keys:
        put(client, key, key.encode())
        assert read(client, key) == key.encode()
    found = client.list_objects(bucket_name=BUCKET, recursive=True)
    assert [one.object_name for one in found] == sorted(keys, key=str.encode)


def test_metadata_ranges_copies_and_presigned(client):
    put(client, "a b", body(1000), metadata={"color": "red"})
    named = dict(bucket_name=BUCKET, object_name="a b")
    assert client.stat_object(**named).metadata["x-amz-meta-color"] == "red"
    assert read(client, "a b", offset=10, length=10) == body(1000)[10:20]
    source = minio.commonconfig.CopySource(BUCKET, "a b")
    client.copy_object(bucket_name=BUCKET, object_name="copy", source=source)
    assert read(client, "copy") == body(1000)
    expires = timedelta(minutes=1)
    url = client.presigned_put_object(**named, expires=expires)
    request = urllib.request.Request(url, data=b"other", method="PUT")
    assert urllib.request.urlopen(request).status == 200
    url = client.presigned_get_object(**named, expires=expires)
    assert urllib.request.urlopen(url).read() == b"other"


def test_a_listing_with_prefixes(client, many):
    name, keys = many
    found = client.list_objects(bucket_name=name, recursive=True)
    assert [one.object_name for one in found] == keys
    rolled = client.list_objects(bucket_name=name)
    assert [one.object_name for one in rolled] == [f"{at}/" for at in range(5)]


def test_a_wrong_key_gets_nothing():
    wrong = connect(os.environ["PARTSTORE_S3"], secret="wrong")
    with pytest.raises(minio.error.S3Error) as error:
        wrong.list_buckets()
    assert error.value.code == "SignatureDoesNotMatch"


def test_an_upload_that_a_kill_broke_off_is_sent_again(crashing):
    client = connect(crashing.s3)
    client.make_bucket(bucket_name=BUCKET)
    attempts = []

    def send():
        # It tries each request several times, but gives up before a slow server is up again.
        while len(attempts) < 10:
            attempts.append(None)
            try:
                put(client, "large", body(LARGE), part_size=5 * MIB)
                return
            except Exception as error:
                attempts[-1] = error

    sending = threading.Thread(target=send)
    sending.start()
    for _ in range(2):
        crashing.crash_after(0.3)
    sending.join(120)
    assert attempts[-1] is None, attempts
    assert read(client, "large") == body(LARGE)
