"""One server for all tests, unless `PARTSTORE_S3` says where one listens."""

import os

from server import Server

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
