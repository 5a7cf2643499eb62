"""What the tests of programs share: how they are run, and what they send."""

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1 << 20
# The default run is short; CI sets 200.
LARGE = int(os.environ.get("PARTSTORE_S3_LARGE_MIB", "24")) * MIB
BIN = Path(sys.executable).parent


def body(size, seed=1):
    return hashlib.shake_128(bytes([seed])).digest(size)


def tool(name):
    """Where a program is: beside the interpreter, or in the path."""
    beside = BIN / name
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or pytest.skip(f"{name} is not installed")


def settings(given):
    # Settings of the machine for the service of Amazon are not for a server beside the test.
    own = {name: text for name, text in os.environ.items() if "AWS" not in name}
    return {**own, **given}


def run(*words, **environment):
    done = subprocess.run(
        words, env=settings(environment), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fails(*words, **environment):
    """What a program says that is refused."""
    done = subprocess.run(
        words, env=settings(environment), capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def killed_while(*words, **environment):
    """Runs a program, which must end well, while what stands under this is done."""
    process = subprocess.Popen(
        words,
        env=settings(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said


def assert_same(one, other):
    def listed(tree):
        found = (path for path in tree.rglob("*") if path.is_file())
        return {path.relative_to(tree): path.read_bytes() for path in found}

    assert listed(one) == listed(other)
