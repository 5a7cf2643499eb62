"""Servers of their own, on both protocols."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

KEYS = {"PARTSTORE_SECRET_ID": "id", "PARTSTORE_SECRET_KEY": "secret"}


class Server:
    """A running server on a directory of its own."""

    def __init__(self, *options, log=subprocess.DEVNULL, keys=KEYS):
        self._log = log
        self._keys = keys
        self._directory = tempfile.TemporaryDirectory()
        self._options = options
        self._ports = [0, 0]
        self.restart()

    def restart(self):
        """Starts it on the same directory and ports, after it has ended."""
        cos, s3 = (f"127.0.0.1:{port}" for port in self._ports)
        command = [os.environ["PARTSTORE_SERVER"], "--data", self._directory.name]
        command += ["--cos", cos, "--s3", s3, *self._options]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **self._keys},
        )
        lines = [self._process.stdout.readline() for _ in range(2)]
        addresses = [line.removeprefix("listening on ").split()[0] for line in lines]
        self.cos, self.s3 = addresses
        self._ports = [int(address.rsplit(":", 1)[1]) for address in addresses]

    def kill(self):
        """`kill -9`"""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def stop(self):
        self._process.terminate()
        assert self._process.wait(60) == 0
        self._process.stdout.close()
        self._directory.cleanup()

    def crash_after(self, seconds):
        time.sleep(seconds)
        self.kill()
        self.restart()

    def crash_in_an_upload(self):
        """Crashes once the first of its bodies is stored."""
        blobs = Path(self._directory.name) / "blobs"
        while not any(path.is_file() for path in blobs.rglob("*")):
            time.sleep(0.01)
        self.crash_after(0)
