"""coscmd, unchanged, with its own defaults. It reaches the server as a proxy, in place of a name server."""

import hashlib
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "sdk"))

from server import APPID, MIB, REGION, SECRET_ID, SECRET_KEY, Server  # noqa: E402

COSCMD = Path(sys.executable).parent / "coscmd"
BUCKET = f"coscmd-{APPID}"
# From here on it uploads in parts.
LARGE = 101 * MIB


def body(size, seed=1):
    return hashlib.shake_128(bytes([seed])).digest(size)


class Tool:
    """coscmd with a configuration of its own."""

    def __init__(self, home, server, secret=SECRET_KEY):
        proxy = f"http://{server.address}"
        self._environment = {
            **{name: text for name, text in os.environ.items() if "proxy" not in name.lower()},
            "HOME": str(home),
            "http_proxy": proxy,
        }
        self._words = [COSCMD, "-c", home / "cos.conf", "-l", home / "cos.log"]
        named = ["-b", BUCKET, "-r", REGION, "--do-not-use-ssl"]
        self.run("config", "-a", SECRET_ID, "-s", secret, *named)

    def begin(self, *words):
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return subprocess.Popen([*self._words, *words], env=self._environment, **pipes)

    def attempt(self, *words):
        running = self.begin(*words)
        said, _ = running.communicate(timeout=300)
        return running.returncode, said.decode()

    def run(self, *words):
        code, said = self.attempt(*words)
        assert code == 0, said
        return said


@pytest.fixture
def log(tmp_path):
    with open(tmp_path / "server.log", "w+") as log:
        yield log


@pytest.fixture
def server(log):
    server = Server(log=log)
    yield server
    server.remove()


@pytest.fixture
def coscmd(tmp_path, server):
    tool = Tool(tmp_path, server)
    tool.run("createbucket")
    return tool


def assert_same(one, other):
    def listed(tree):
        found = (path for path in tree.rglob("*") if path.is_file())
        return {path.relative_to(tree): path.read_bytes() for path in found}

    assert listed(one) == listed(other)


def test_trees_are_uploaded_copied_moved_and_deleted(coscmd, server, tmp_path):
    tree = tmp_path / "tree"
    for name, size in {"small": 100, "empty": 0, "a dir/ü +%": 1000, "large": LARGE}.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body(size))
    coscmd.run("upload", "-r", str(tree), "there/")
    assert "Files num: 4" in coscmd.run("list", "-ar", "there/")
    # Nothing has changed.
    assert "0 files uploaded, 4 files skipped" in coscmd.run("upload", "-rs", str(tree), "there/")
    back = tmp_path / "back"
    coscmd.run("download", "-r", "there/", str(back))
    assert_same(tree, back / "tree")

    rolled = coscmd.run("list", "there/tree/")
    assert "there/tree/a dir/" in rolled and "DIR" in rolled and "ü" not in rolled
    described = coscmd.run("info", "there/tree/large")
    assert re.search(rf"Content-Length +{LARGE}\s", described), described
    source = f"{BUCKET}.cos.{REGION}.myqcloud.com"
    coscmd.run("copy", f"{source}/there/tree/large", "copied")
    coscmd.run("copy", "-r", f"{source}/there/", "again/")
    coscmd.run("move", f"{source}/copied", "moved")
    coscmd.run("download", "moved", str(tmp_path / "moved"))
    assert (tmp_path / "moved").read_bytes() == body(LARGE)
    coscmd.run("delete", "-rf", "there/")
    left = coscmd.run("list", "-ar")
    assert "Files num: 5" in left and "there/" not in left, left
    coscmd.run("delete", "-rf", "/")
    coscmd.run("deletebucket")


def test_metadata_and_presigned_urls(coscmd, server, tmp_path):
    small = tmp_path / "small"
    small.write_bytes(b"bytes")
    headers = '{"Cache-Control": "no-cache", "x-cos-meta-year": "1955"}'
    coscmd.run("upload", "-H", headers, str(small), "odd/a +%ü")
    described = coscmd.run("info", "odd/a +%ü")
    assert re.search(r"x-cos-meta-year +1955", described), described
    url = re.search(r"http://[^'\s]+", coscmd.run("signurl", "odd/a +%ü")).group()
    proxy = urllib.request.ProxyHandler({"http": f"http://{server.address}"})
    assert urllib.request.build_opener(proxy).open(url).read() == b"bytes"
    assert "FULL_CONTROL" in coscmd.run("getbucketacl")
    coscmd.run("getbucketversioning")
    # What it cannot have is told at once, not after many attempts.
    began = time.monotonic()
    code, _ = coscmd.attempt("putbucketversioning", "Enabled")
    assert code != 0 and time.monotonic() - began < 10


def test_a_wrong_key(coscmd, server, tmp_path):
    home = tmp_path / "stranger"
    home.mkdir()
    stranger = Tool(home, server, secret="wrong")
    coscmd.run("upload", __file__, "file")
    # A listing would be tried again for half a minute, whatever the answer.
    code, said = stranger.attempt("download", "file", str(tmp_path / "file"))
    assert code != 0 and not (tmp_path / "file").exists(), said


def puts(log):
    log.seek(0)
    return sum("method=PUT" in line and "status=200" in line for line in log)


def test_an_upload_is_resumed_after_a_kill_of_client_and_server(coscmd, server, log, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(body(LARGE))
    client = server.client()
    before = puts(log)
    running = coscmd.begin("upload", str(large), "killed")
    deadline = time.monotonic() + 60
    while puts(log) < before + 20:
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.01)
    server.kill()
    running.kill()
    running.communicate()
    server.restart()
    upload = client.list_multipart_uploads(BUCKET)["Upload"][0]["UploadId"]
    parts = len(client.list_parts(BUCKET, "killed", upload)["Part"])
    assert parts >= 20
    before = puts(log)
    coscmd.run("upload", str(large), "killed")
    assert puts(log) - before == LARGE // MIB - parts
    back = tmp_path / "back"
    coscmd.run("download", "killed", str(back))
    assert back.read_bytes() == body(LARGE)
    assert "Upload" not in client.list_multipart_uploads(BUCKET)
