"""The server, as programs speak S3 to it: aws-cli, s3cmd, minio-py and rclone, with their own defaults."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ADDRESS = os.environ["PARTSTORE_S3"]
MIB = 1 << 20
LARGE = int(os.environ.get("PARTSTORE_S3_LARGE_MIB", "24")) * MIB
BIN = Path(sys.executable).parent


def body(size, seed=1):
    return hashlib.shake_128(bytes([seed])).digest(size)


def tool(name):
    beside = BIN / name
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or pytest.skip(f"{name} is not installed")


def run(*words, **environment):
    # Settings of the machine for the service of Amazon are not for a server beside the test.
    own = {name: text for name, text in os.environ.items() if "AWS" not in name}
    done = subprocess.run(
        words,
        env={**own, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def files(tmp_path):
    """A tree with odd names, an empty file and a large one."""
    tree = tmp_path / "tree"
    for name, size in {
        "small": 100,
        "empty": 0,
        "large": LARGE,
        "a dir/ü +%": 1000,
    }.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body(size))
    return tree


def assert_same(one, other):
    def listed(tree):
        found = (path for path in tree.rglob("*") if path.is_file())
        return {path.relative_to(tree): path.read_bytes() for path in found}

    assert listed(one) == listed(other)


def test_aws_cli(files, tmp_path):
    environment = dict(
        AWS_ACCESS_KEY_ID="id",
        AWS_SECRET_ACCESS_KEY="secret",
        AWS_DEFAULT_REGION="local",
        AWS_EC2_METADATA_DISABLED="true",
        HOME=str(tmp_path),
    )
    cli = tool("aws")

    def aws(*words):
        url = f"http://{ADDRESS}"
        return run(cli, "--endpoint-url", url, *words, **environment)

    aws("s3", "mb", "s3://aws-cli")
    aws("s3", "sync", str(files), "s3://aws-cli/there")
    back = tmp_path / "back"
    aws("s3", "sync", "s3://aws-cli/there", str(back))
    assert_same(files, back)
    aws("s3", "cp", "s3://aws-cli/there/large", "s3://aws-cli/copy")
    listed = aws("s3", "ls", "--recursive", "s3://aws-cli")
    assert len(listed.splitlines()) == 5
    url = aws("s3", "presign", "s3://aws-cli/there/small").strip()
    assert run("curl", "-sf", "-o", str(tmp_path / "got"), url) == ""
    assert (tmp_path / "got").read_bytes() == body(100)
    aws("s3", "rb", "--force", "s3://aws-cli")


def test_s3cmd(files, tmp_path):
    config = tmp_path / "s3cfg"
    config.write_text(
        "[default]\naccess_key = id\nsecret_key = secret\nuse_https = False\n"
        f"host_base = {ADDRESS}\nhost_bucket = {ADDRESS}\nbucket_location = local\n"
    )
    program = tool("s3cmd")

    def s3cmd(*words):
        return run(program, "-c", str(config), "--no-progress", *words)

    s3cmd("mb", "s3://s3cmd")
    s3cmd("sync", f"{files}/", "s3://s3cmd/there/")
    back = tmp_path / "back"
    back.mkdir()
    s3cmd("sync", "s3://s3cmd/there/", f"{back}/")
    assert_same(files, back)
    s3cmd("cp", "s3://s3cmd/there/small", "s3://s3cmd/copy")
    assert "MD5 sum" in s3cmd("info", "s3://s3cmd/copy")
    assert len(s3cmd("ls", "--recursive", "s3://s3cmd").splitlines()) == 5
    s3cmd("del", "--recursive", "--force", "s3://s3cmd")
    s3cmd("rb", "s3://s3cmd")


def test_minio_py(files):
    minio = pytest.importorskip("minio")
    deleted = pytest.importorskip("minio.deleteobjects")
    client = minio.Minio(
        endpoint=ADDRESS, access_key="id", secret_key="secret", secure=False, region="local"
    )
    client.make_bucket(bucket_name="minio-py")
    for path in files.rglob("*"):
        if path.is_file():
            name = str(path.relative_to(files))
            client.fput_object(
                bucket_name="minio-py", object_name=name, file_path=str(path)
            )
            got = client.get_object(bucket_name="minio-py", object_name=name)
            assert got.read() == path.read_bytes()
            got.close()
            got.release_conn()
    client.put_object(
        bucket_name="minio-py",
        object_name="stream",
        data=io.BytesIO(body(LARGE)),
        length=-1,
        part_size=5 * MIB,
    )
    told = client.stat_object(bucket_name="minio-py", object_name="stream")
    assert told.size == LARGE
    keys = [
        entry.object_name
        for entry in client.list_objects(bucket_name="minio-py", recursive=True)
    ]
    assert len(keys) == 5
    gone = client.remove_objects(
        bucket_name="minio-py",
        delete_object_list=[deleted.DeleteObject(key) for key in keys],
    )
    assert list(gone) == []
    client.remove_bucket(bucket_name="minio-py")


def test_rclone(files, tmp_path):
    program = tool("rclone")
    environment = dict(
        RCLONE_CONFIG=str(tmp_path / "none"),
        RCLONE_CONFIG_HERE_TYPE="s3",
        RCLONE_CONFIG_HERE_PROVIDER="Other",
        RCLONE_CONFIG_HERE_ENDPOINT=f"http://{ADDRESS}",
        RCLONE_CONFIG_HERE_ACCESS_KEY_ID="id",
        RCLONE_CONFIG_HERE_SECRET_ACCESS_KEY="secret",
    )

    def rclone(*words):
        return run(program, *words, **environment)

    rclone("mkdir", "here:rclone")
    rclone("sync", str(files), "here:rclone/there")
    rclone("check", "--download", str(files), "here:rclone/there")
    rclone("copyto", "here:rclone/there/large", "here:rclone/copy")
    assert len(rclone("lsf", "-R", "--files-only", "here:rclone").splitlines()) == 5
    rclone("purge", "here:rclone")
