"""The server, as s3cmd speaks S3 to it, with its own defaults."""

import os

import pytest
from tools import LARGE, assert_same, body, fails, killed_while, run, tool

BUCKET = "s3://s3cmd"


class Cmd:
    def __init__(self, address, directory, secret="secret"):
        config = directory / f"s3cfg-{secret}"
        config.write_text(
            f"[default]\naccess_key = id\nsecret_key = {secret}\nuse_https = False\n"
            f"host_base = {address}\nhost_bucket = {address}\nbucket_location = local\n"
        )
        self.words = (tool("s3cmd"), "-c", str(config), "--no-progress")

    def __call__(self, *words):
        return run(*self.words, *words)


@pytest.fixture
def s3cmd(tmp_path):
    return Cmd(os.environ["PARTSTORE_S3"], tmp_path)


@pytest.fixture
def bucket(s3cmd):
    s3cmd("mb", BUCKET)
    yield BUCKET
    # In one request, too.
    s3cmd("del", "--recursive", "--force", BUCKET)
    s3cmd("rb", BUCKET)


def test_a_tree_goes_there_and_back(s3cmd, bucket, files, tmp_path):
    s3cmd("sync", f"{files}/", f"{bucket}/there/")
    back = tmp_path / "back"
    back.mkdir()
    s3cmd("sync", f"{bucket}/there/", f"{back}/")
    assert_same(files, back)
    s3cmd("cp", f"{bucket}/there/small", f"{bucket}/copy")
    assert "MD5 sum" in s3cmd("info", f"{bucket}/copy")
    assert len(s3cmd("ls", "--recursive", bucket).splitlines()) == 6


def test_metadata_ranges_and_presigned(s3cmd, bucket, files, tmp_path):
    header = "--add-header=x-amz-meta-color:red"
    s3cmd("put", header, str(files / "small"), f"{bucket}/small")
    assert "x-amz-meta-color: red" in s3cmd("info", f"{bucket}/small")
    got = tmp_path / "got"
    got.write_bytes(body(100)[:40])
    s3cmd("get", "--continue", f"{bucket}/small", str(got))
    assert got.read_bytes() == body(100)
    s3cmd("put", "--acl-private", str(files / "small"), f"{bucket}/private")
    public = [*s3cmd.words, "put", "--acl-public", str(files / "small")]
    assert "AccessControlListNotSupported" in fails(*public, f"{bucket}/public")


def test_a_listing_with_prefixes(s3cmd, many):
    name, keys = many
    listed = s3cmd("ls", "--recursive", f"s3://{name}").splitlines()
    assert [line.split(f"s3://{name}/")[1] for line in listed] == keys
    assert s3cmd("ls", f"s3://{name}").count("DIR") == 5


def test_a_wrong_key_gets_nothing(tmp_path):
    wrong = Cmd(os.environ["PARTSTORE_S3"], tmp_path, secret="wrong")
    assert "SignatureDoesNotMatch" in fails(*wrong.words, "ls")


def test_an_upload_ends_well_over_a_kill(crashing, files, tmp_path):
    s3cmd = Cmd(crashing.s3, tmp_path)
    s3cmd("mb", BUCKET)
    # It tries again to send a part, but neither to begin nor to complete an upload.
    slow = ["--multipart-chunk-size-mb=5", f"--limit-rate={LARGE // 2}"]
    there = [str(files / "large"), f"{BUCKET}/large"]
    with killed_while(*s3cmd.words, *slow, "put", *there):
        crashing.crash_in_an_upload()
    back = tmp_path / "back"
    s3cmd("get", f"{BUCKET}/large", str(back))
    assert back.read_bytes() == body(LARGE)
