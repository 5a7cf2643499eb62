"""The server, as aws-cli speaks S3 to it, with its own defaults."""

import json
import os

import pytest
from tools import LARGE, assert_same, body, fails, killed_while, run, tool

BUCKET = "s3://aws-cli"


class Cli:
    def __init__(self, address, home, secret="secret", **more):
        self.words = (tool("aws"), "--endpoint-url", f"http://{address}")
        self.environment = dict(
            AWS_ACCESS_KEY_ID="id",
            AWS_SECRET_ACCESS_KEY=secret,
            AWS_DEFAULT_REGION="local",
            AWS_EC2_METADATA_DISABLED="true",
            HOME=str(home),
            **more,
        )

    def __call__(self, *words):
        return run(*self.words, *words, **self.environment)

    def api(self, *words):
        return json.loads(self("s3api", *words, "--output", "json") or "{}")


@pytest.fixture
def aws(tmp_path):
    return Cli(os.environ["PARTSTORE_S3"], tmp_path)


@pytest.fixture
def bucket(aws):
    aws("s3", "mb", BUCKET)
    yield BUCKET
    aws("s3", "rb", "--force", BUCKET)


def test_a_tree_goes_there_and_back(aws, bucket, files, tmp_path):
    aws("s3", "sync", str(files), f"{bucket}/there")
    back = tmp_path / "back"
    aws("s3", "sync", f"{bucket}/there", str(back))
    assert_same(files, back)
    aws("s3", "cp", f"{bucket}/there/large", f"{bucket}/copy")
    listed = aws("s3", "ls", "--recursive", bucket)
    assert len(listed.splitlines()) == 6
    assert aws("s3", "sync", str(files), f"{bucket}/there") == ""


def test_metadata_ranges_checksums_and_presigned(aws, bucket, files, tmp_path):
    small = [str(files / "small"), f"{bucket}/small"]
    aws("s3", "cp", *small, "--metadata", "color=red", "--checksum-algorithm", "SHA256")
    named = ["--bucket", "aws-cli", "--key", "small"]
    head = aws.api("head-object", *named, "--checksum-mode", "ENABLED")
    assert head["Metadata"] == {"color": "red"} and "ChecksumSHA256" in head
    got = tmp_path / "got"
    aws.api("get-object", *named, "--range", "bytes=10-19", str(got))
    assert got.read_bytes() == body(100)[10:20]
    url = aws("s3", "presign", f"{bucket}/small").strip()
    assert run("curl", "-sf", "-o", str(got), url) == ""
    assert got.read_bytes() == body(100)


def test_a_listing_and_a_batch(aws, bucket, many):
    name, keys = many
    listed = aws("s3", "ls", "--recursive", f"s3://{name}")
    assert [line.split()[-1] for line in listed.splitlines()] == keys
    assert aws("s3", "ls", f"s3://{name}").split() == "PRE 0/ PRE 1/ PRE 2/ PRE 3/ PRE 4/".split()
    for key in "ab":
        aws.api("put-object", "--bucket", "aws-cli", "--key", key)
    batch = json.dumps({"Objects": [{"Key": "a"}, {"Key": "b"}]})
    gone = aws.api("delete-objects", "--bucket", "aws-cli", "--delete", batch)
    assert len(gone["Deleted"]) == 2


def test_a_wrong_key_gets_nothing(tmp_path):
    wrong = Cli(os.environ["PARTSTORE_S3"], tmp_path, secret="wrong")
    said = fails(*wrong.words, "s3", "ls", **wrong.environment)
    assert "SignatureDoesNotMatch" in said


def test_an_upload_ends_well_over_a_kill(crashing, files, tmp_path):
    aws = Cli(crashing.s3, tmp_path, AWS_MAX_ATTEMPTS="12", AWS_RETRY_MODE="standard")
    aws("s3", "mb", BUCKET)
    there = [str(files / "large"), f"{BUCKET}/large"]
    with killed_while(*aws.words, "s3", "cp", *there, **aws.environment):
        for _ in range(2):
            crashing.crash_after(0.7)
    back = tmp_path / "back"
    aws("s3", "cp", f"{BUCKET}/large", str(back))
    assert back.read_bytes() == body(LARGE)
