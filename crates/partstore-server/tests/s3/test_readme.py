"""README's lines for clients of S3 work as they stand, but for the address."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from server import Server
from tools import BIN, body, settings

README = Path(__file__).parents[2] / "README.md"
KEYS = {"PARTSTORE_SECRET_ID": "ID", "PARTSTORE_SECRET_KEY": "SECRET"}


def blocks():
    section = README.read_text().split("\n## S3\n")[1].split("\n## ")[0]
    found = re.findall(r"^```(sh|python|js)\n(.*?)^```", section, re.M | re.S)
    assert len(found) == 6
    return found


def program(language):
    if language == "js":
        modules = Path(os.environ.get("NODE_PATH", ""))
        if not shutil.which("node") or not (modules / "@aws-sdk/client-s3").exists():
            return None
        return ["node", "-e"]
    return {"sh": ["bash", "-euc"], "python": [sys.executable, "-c"]}[language]


def known(line):
    """Whether the program of a line of the shell is installed."""
    return not line.startswith("rclone") or shutil.which("rclone")


@pytest.mark.skipif("PARTSTORE_SERVER" not in os.environ, reason="no server to start")
def test_the_lines_for_clients_work(tmp_path):
    (tmp_path / "night.mp4").write_bytes(body(1000))
    (tmp_path / "DIRECTORY").mkdir()
    (tmp_path / "DIRECTORY" / "file").write_bytes(body(10))
    server = Server(keys=KEYS)
    environment = settings({"HOME": str(tmp_path)})
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    exported = ""
    for language, text in blocks():
        words = program(language)
        if words is None:
            continue
        text = text.replace("127.0.0.1:9001", server.s3)
        if language == "sh":
            text = "\n".join(filter(known, text.splitlines()))
            # A shell goes on with what the lines before have set.
            exported += "".join(re.findall(r"^export .*\n", text, re.M))
            text = exported + text
        done = subprocess.run(
            [*words, text], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, text + done.stdout + done.stderr
    server.stop()
