"""The server, as rclone speaks S3 to it, with its own defaults."""

import json
import os

import pytest
from tools import assert_same, body, fails, killed_while, run, tool


class Rclone:
    def __init__(self, address, directory, secret="secret"):
        self.words = (tool("rclone"),)
        self.environment = dict(
            RCLONE_CONFIG=str(directory / "none"),
            RCLONE_CONFIG_HERE_TYPE="s3",
            RCLONE_CONFIG_HERE_PROVIDER="Other",
            RCLONE_CONFIG_HERE_ENDPOINT=f"http://{address}",
            RCLONE_CONFIG_HERE_ACCESS_KEY_ID="id",
            RCLONE_CONFIG_HERE_SECRET_ACCESS_KEY=secret,
        )

    def __call__(self, *words):
        return run(*self.words, *words, **self.environment)


@pytest.fixture
def rclone(tmp_path):
    return Rclone(os.environ["PARTSTORE_S3"], tmp_path)


@pytest.fixture
def bucket(rclone):
    rclone("mkdir", "here:rclone")
    yield "here:rclone"
    rclone("purge", "here:rclone")


def test_a_tree_goes_there_and_back(rclone, bucket, files, tmp_path):
    rclone("sync", str(files), f"{bucket}/there")
    rclone("check", "--download", str(files), f"{bucket}/there")
    back = tmp_path / "back"
    rclone("sync", "--checksum", f"{bucket}/there", str(back))
    assert_same(files, back)
    rclone("copyto", f"{bucket}/there/large", f"{bucket}/copy")
    assert len(rclone("lsf", "-R", "--files-only", bucket).splitlines()) == 6


def test_metadata_ranges_and_presigned(rclone, bucket, files, tmp_path):
    header = "--header-upload=x-amz-meta-color: red"
    rclone("copy", header, str(files / "small"), bucket)
    (told,) = json.loads(rclone("lsjson", "--metadata", f"{bucket}/small"))
    assert told["Metadata"]["color"] == "red"
    got = tmp_path / "got"
    url = rclone("link", "--expire", "60s", f"{bucket}/small").strip()
    assert run("curl", "-sf", "-r", "10-19", "-o", str(got), url) == ""
    assert got.read_bytes() == body(100)[10:20]
    rclone("copyto", f"{bucket}/small", str(got))
    assert got.read_bytes() == body(100)


def test_a_listing_with_prefixes(rclone, many):
    name, keys = many
    listed = rclone("lsf", "-R", "--files-only", f"here:{name}")
    assert sorted(listed.splitlines()) == keys
    assert rclone("lsf", f"here:{name}").split() == [f"{at}/" for at in range(5)]


def test_a_wrong_key_gets_nothing(tmp_path):
    wrong = Rclone(os.environ["PARTSTORE_S3"], tmp_path, secret="wrong")
    said = fails(*wrong.words, "lsf", "here:", **wrong.environment)
    assert "SignatureDoesNotMatch" in said


def test_an_upload_ends_well_over_a_kill(crashing, files, tmp_path):
    rclone = Rclone(crashing.s3, tmp_path)
    rclone("mkdir", "here:rclone")
    there = [str(files / "large"), "here:rclone"]
    with killed_while(*rclone.words, "copy", *there, **rclone.environment):
        for _ in range(2):
            crashing.crash_after(0.4)
    rclone("check", "--download", str(files / "large"), "here:rclone")
