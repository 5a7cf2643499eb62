"""One server for all tests, unless `PARTSTORE_S3` says where one listens."""

import os
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config
from server import Server
from tools import LARGE, body

_started = []


def pytest_configure():
    if "PARTSTORE_S3" not in os.environ:
        server = Server()
        _started.append(server)
        os.environ["PARTSTORE_S3"] = server.s3
        os.environ["PARTSTORE_COS"] = server.cos


def pytest_unconfigure():
    for server in _started:
        server.stop()


@pytest.fixture(scope="session")
def many():
    """A bucket with 2,500 keys under five prefixes."""
    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://{os.environ['PARTSTORE_S3']}",
        aws_access_key_id="id",
        aws_secret_access_key="secret",
        region_name="local",
        config=Config(s3={"addressing_style": "path"}),
    )
    s3.create_bucket(Bucket="many")
    keys = [f"{at % 5}/{at:04}" for at in range(2500)]
    put = lambda key: s3.put_object(Bucket="many", Key=key, Body=b"")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, keys))
    return "many", sorted(keys)


@pytest.fixture
def crashing():
    """A server for a test that kills it."""
    if "PARTSTORE_SERVER" not in os.environ:
        pytest.skip("no server to kill")
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def files(tmp_path):
    """A tree with odd names, an empty file and a large one."""
    tree = tmp_path / "tree"
    for name, size in {
        "small": 100,
        "empty": 0,
        "large": LARGE,
        "a dir/ü +%": 1000,
        "a dir/%20 'x=1&y=2#": 10,
    }.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body(size))
    return tree
