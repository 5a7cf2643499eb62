"""What is about the server itself: `kill -9`, and both protocols on one store."""

import hashlib
import io
import os
import socket
import threading

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from server import Server

MIB = 1 << 20


def connect(address, **config):
    return boto3.client(
        "s3",
        endpoint_url=f"http://{address}",
        aws_access_key_id="id",
        aws_secret_access_key="secret",
        region_name="local",
        config=Config(**config),
    )


def body(size, seed):
    return hashlib.shake_128(bytes([seed])).digest(size)


@pytest.mark.skipif("PARTSTORE_SERVER" not in os.environ, reason="no server to kill")
def test_what_was_acknowledged_survives_kills():
    server = Server()
    s3 = connect(server.s3, retries={"max_attempts": 12, "mode": "standard"})
    s3.create_bucket(Bucket="kills")
    put, ended = {}, threading.Event()

    def put_objects():
        at = 0
        while not ended.is_set():
            size = (7 * MIB, 1000, 0)[at % 3]
            key = f"{at:04}"
            s3.upload_fileobj(io.BytesIO(body(size, at % 250)), "kills", key)
            put[key] = (size, at % 250)
            at += 1

    putting = threading.Thread(target=put_objects)
    putting.start()
    for _ in range(4):
        server.crash_after(1)
    ended.set()
    putting.join(120)
    assert not putting.is_alive() and len(put) > 3
    server.kill()
    server.restart()
    for key, (size, seed) in put.items():
        assert s3.get_object(Bucket="kills", Key=key)["Body"].read() == body(size, seed)
    server.stop()


@pytest.mark.skipif("PARTSTORE_COS" not in os.environ, reason="no address of COS")
def test_both_protocols_see_the_same_objects():
    cos = pytest.importorskip("qcloud_cos")
    s3 = connect(os.environ["PARTSTORE_S3"], s3={"addressing_style": "path"})
    host, port = os.environ["PARTSTORE_COS"].rsplit(":", 1)
    config = cos.CosConfig(
        Region="local",
        SecretId="id",
        SecretKey="secret",
        IP=host,
        Port=port,
        Scheme="http",
    )
    theirs = cos.CosS3Client(config)
    bucket = "both-1250000000"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(
        Bucket=bucket, Key="s3", Body=b"s3", Metadata={"color": "red"}, ContentType="a/b"
    )
    got = theirs.get_object(Bucket=bucket, Key="s3")
    assert got["Body"].get_raw_stream().read() == b"s3"
    assert (got["x-cos-meta-color"], got["Content-Type"]) == ("red", "a/b")
    theirs.put_object(
        Bucket=bucket, Key="cos", Body=b"cos", Metadata={"x-cos-meta-color": "blue"}
    )
    got = s3.get_object(Bucket=bucket, Key="cos")
    assert got["Body"].read() == b"cos" and got["Metadata"] == {"color": "blue"}
    listed = theirs.list_objects(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == ["cos", "s3"]


@pytest.mark.skipif("PARTSTORE_SERVER" not in os.environ, reason="no server to start")
def test_a_domain_has_its_buckets_before_it(monkeypatch):
    # Not every system knows names below localhost.
    resolve = socket.getaddrinfo
    known = lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more)
    monkeypatch.setattr(socket, "getaddrinfo", known)
    server = Server("--domain", "localhost")
    port = server.s3.rsplit(":", 1)[1]
    s3 = connect(f"localhost:{port}", s3={"addressing_style": "virtual"})
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="dir/key", Body=b"bytes")
    assert s3.get_object(Bucket="bucket", Key="dir/key")["Body"].read() == b"bytes"
    assert s3.list_objects_v2(Bucket="bucket")["KeyCount"] == 1
    server.stop()


@pytest.mark.skipif("PARTSTORE_SERVER" not in os.environ, reason="no server to start")
def test_the_log_says_what_was_refused(tmp_path):
    with open(tmp_path / "log", "w") as log:
        server = Server(log=log)
        s3 = connect(server.s3, s3={"addressing_style": "path"})
        s3.create_bucket(Bucket="bucket")
        with pytest.raises(s3.exceptions.NoSuchKey):
            s3.get_object(Bucket="bucket", Key="a key/ü")
        s3._request_signer._credentials.secret_key = "wrong"
        with pytest.raises(ClientError):
            s3.get_object(Bucket="bucket", Key="key")
        server.stop()
    lines = (tmp_path / "log").read_text().splitlines()
    (line,) = [line for line in lines if "NoSuchKey" in line]
    assert 'bucket="bucket"' in line and 'key="a key/ü"' in line and "status=404" in line
    (line,) = [line for line in lines if "SignatureDoesNotMatch" in line]
    assert "status=403" in line and " ERROR " not in line
