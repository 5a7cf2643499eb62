"""A server of its own for the tests of a class, and clients of the official SDK that speak to it."""

import itertools
import logging
import os
import resource
import subprocess
import tempfile
import unittest

import requests
from qcloud_cos import CosConfig, CosS3Client
from qcloud_cos.cos_exception import CosServiceError

MIB = 1024 * 1024
REGION = 'ap-beijing'
APPID = '1250000000'
SECRET_ID = 'AKIDexample'
SECRET_KEY = 'secret-of-the-example'

# The SDK logs each refusal as an error: here most of them are what is asked for.
logging.getLogger('qcloud_cos').setLevel(logging.CRITICAL + 1)


class Server:
    """A running server on a directory of its own."""

    def __init__(self, *args, log=subprocess.DEVNULL):
        self._directory = tempfile.TemporaryDirectory()
        self.data = self._directory.name
        self._args = args
        self._log = log
        self.port = 0
        self.restart()

    def restart(self):
        """Starts it on the same directory and port, after it has ended."""
        command = [os.environ['PARTSTORE_SERVER'], '--data', self.data, '--listen', f'127.0.0.1:{self.port}', *self._args]
        keys = {'PARTSTORE_SECRET_ID': SECRET_ID, 'PARTSTORE_SECRET_KEY': SECRET_KEY}
        # Without its signals restored it does not die of SIGXFSZ when `limit_files` is met.
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, text=True, env={**os.environ, **keys},
                                         restore_signals=False)
        line = self._process.stdout.readline()
        if not line.startswith('listening on '):
            raise RuntimeError(f'the server did not start; it said {line!r}')
        self.port = int(line.rsplit(':', 1)[1])

    def kill(self):
        """`kill -9`"""
        self._process.kill()
        self._end()

    def stop(self):
        """Asks it to end, and gives whether it ended well."""
        self._process.terminate()
        return self._end() == 0

    def limit_files(self, length):
        """From now on it cannot write a file behind its first `length` bytes."""
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (length, resource.RLIM_INFINITY))

    def _end(self):
        code = self._process.wait()
        self._process.stdout.close()
        return code

    def remove(self):
        if self._process.poll() is None:
            self.kill()
        self._directory.cleanup()

    @property
    def address(self):
        return f'127.0.0.1:{self.port}'

    def client(self, kind=CosS3Client, retry=3, **conf):
        """A client that names the bucket in Host, as those of the service do."""
        return self._client(kind, retry, {'IP': '127.0.0.1', 'Port': self.port} | conf)

    def path_client(self, kind=CosS3Client, retry=3, **conf):
        """A client that names an address in Host: its keys begin with the bucket."""
        return self._client(kind, retry, {'Domain': self.address} | conf)

    def proxied_client(self, kind=CosS3Client, retry=3):
        """A client that believes the server to be a proxy, and so brings it requests for any host."""
        return self._client(kind, retry, {'Proxies': {'http': f'http://{self.address}'}})

    @staticmethod
    def _client(kind, retry, conf):
        pair = {} if conf.get('Anonymous') else {'SecretId': SECRET_ID, 'SecretKey': SECRET_KEY}
        conf = {'Region': REGION, 'Scheme': 'http'} | pair | conf
        return kind(CosConfig(**conf), retry=retry, session=session())


def session():
    """One that asks neither the environment nor a proxy of the machine."""
    plain = requests.Session()
    plain.trust_env = False
    return plain


class ServerCase(unittest.TestCase):
    """Tests with a server for the class and a bucket for each test."""

    ARGS = ()
    _numbers = itertools.count(1)

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.ARGS)
        cls.addClassCleanup(cls.server.remove)

    def setUp(self):
        self.client = self.client_of()
        self.bucket = self.new_bucket()

    def client_of(self, kind=CosS3Client, **conf):
        client = self.server.client(kind, **conf)
        self.addCleanup(client._session.close)
        return client

    def new_bucket(self):
        bucket = f'examplebucket{next(self._numbers)}-{APPID}'
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def file(self, size):
        """A file of random bytes."""
        path = os.path.join(self.directory(), 'file')
        with open(path, 'wb') as file:
            file.write(os.urandom(size))
        return path

    def directory(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return directory.name

    def initiate(self, key, **headers):
        return self.client.create_multipart_upload(Bucket=self.bucket, Key=key, **headers)['UploadId']

    def put_part(self, key, upload, number, body, **options):
        """Gives the ETag."""
        return self.client.upload_part(self.bucket, key, body, number, upload, **options)['ETag']

    def complete(self, key, upload, *parts):
        """`parts` are pairs of number and ETag."""
        parts = [{'PartNumber': number, 'ETag': etag} for number, etag in parts]
        return self.client.complete_multipart_upload(self.bucket, key, upload, {'Part': parts})

    def get(self, key, **headers):
        """The bytes of an object."""
        return self.client.get_object(self.bucket, key, **headers)['Body'].get_raw_stream().read()

    def parts(self, key, upload):
        """The ETags of an upload's parts, by number."""
        listed = self.client.list_parts(self.bucket, key, upload)
        return {int(part['PartNumber']): part['ETag'] for part in listed.get('Part', [])}

    def uploads(self):
        """Keys and ids of the open uploads, in their order."""
        listed = self.client.list_multipart_uploads(self.bucket)
        return [(upload['Key'], upload['UploadId']) for upload in listed.get('Upload', [])]

    def refused(self, code, status, call, *args, **kwargs):
        """Asserts that a call is refused with a code, and that the SDK finds all that it tells its users."""
        with self.assertRaises(CosServiceError) as caught:
            call(*args, **kwargs)
        error = caught.exception
        self.assertEqual((error.get_error_code(), error.get_status_code()), (code, status), error)
        for told in (error.get_error_msg(), error.get_resource_location(), error.get_request_id(),
                     error.get_trace_id()):
            self.assertNotIn(told, (None, '', 'Unknown'), error)
        return error
