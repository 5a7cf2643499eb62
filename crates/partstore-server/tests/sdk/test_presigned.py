"""Presigned URLs of the SDK, sent by a client that knows nothing of signatures."""

import http.client
import re
import unittest.mock
from urllib.parse import urlencode

from server import REGION, ServerCase, session


class Presigned(ServerCase):
    def setUp(self):
        super().setUp()
        self.by_path = self.server.path_client()
        self.plain = session()
        for opened in (self.by_path._session, self.plain):
            self.addCleanup(opened.close)
        self.key = f'{self.bucket}/dir/a b+ü'

    def url(self, method, client=None, **options):
        return (client or self.by_path).get_presigned_url(self.bucket, self.key, method, **options)

    def send(self, method, target, host):
        """Sends a request word for word: no client would ask one host for what is another's. Gives the status."""
        connection = http.client.HTTPConnection('127.0.0.1', self.server.port)
        self.addCleanup(connection.close)
        connection.putrequest(method, target, skip_host=True)
        connection.putheader('Host', host)
        connection.putheader('Content-Length', '7')
        connection.endheaders(b'foreign')
        return connection.getresponse().status

    def refused_by(self, answer, code, status):
        found = re.search('<Code>(.*)</Code>', answer.text)
        self.assertEqual((found and found[1], answer.status_code), (code, status), answer.text)

    def test_an_object_is_put_and_got(self):
        self.assertEqual(self.plain.put(self.url('PUT'), data=b'bytes').status_code, 200)
        self.assertEqual(self.plain.get(self.url('GET')).content, b'bytes')
        self.assertEqual(self.plain.head(self.url('HEAD')).headers['Content-Length'], '5')
        self.assertEqual(self.plain.delete(self.url('DELETE')).status_code, 204)
        self.refused_by(self.plain.get(self.url('GET')), 'NoSuchKey', 404)

    def test_a_part_is_put(self):
        key = 'dir/a b+ü'
        upload = self.initiate(key)
        url = self.url('PUT', Params={'partNumber': '1', 'uploadId': upload})
        answer = self.plain.put(url, data=b'bytes')
        self.assertEqual(answer.status_code, 200, answer.text)
        self.complete(key, upload, (1, answer.headers['ETag']))
        self.assertEqual(self.get(key), b'bytes')

    def test_the_bucket_may_be_in_the_host(self):
        """As behind a name that resolves to the server: the client sends Host, and the signature has it."""
        host = self.client.get_conf().get_host(Bucket=self.bucket)
        for signed in (host, f'{host}:{self.server.port}'):
            with self.subTest(signed):
                url = self.client.get_presigned_url(self.bucket, 'key', 'PUT', Headers={'Host': signed})
                self.assertEqual(self.plain.put(url, data=b'bytes', headers={'Host': signed}).status_code, 200)
        # A client that is told of the port says so, also when the signature has only the name.
        url = self.client.get_presigned_url(self.bucket, 'key', 'GET', Headers={'Host': host})
        answer = self.plain.get(url, headers={'Host': f'{host}:{self.server.port}'})
        self.assertEqual(answer.content, b'bytes')
        answer = self.plain.get(url, headers={'Host': f'other.{host}'})
        self.refused_by(answer, 'SignatureDoesNotMatch', 403)

    def test_the_host_need_not_be_signed(self):
        self.plain.put(self.url('PUT', SignHost=False), data=b'bytes').raise_for_status()
        self.assertEqual(self.plain.get(self.url('GET', SignHost=False)).content, b'bytes')

    def test_signed_headers_and_parameters_are_needed(self):
        self.plain.put(self.url('PUT'), data=b'bytes').raise_for_status()
        url = self.url('GET', Headers={'Range': 'bytes=1-2'}, Params={'response-content-type': 'text/plain'})
        answer = self.plain.get(url, headers={'Range': 'bytes=1-2'})
        self.assertEqual((answer.status_code, answer.content), (206, b'yt'))
        self.assertEqual(answer.headers['Content-Type'], 'text/plain')
        self.refused_by(self.plain.get(url), 'SignatureDoesNotMatch', 403)
        other = url.replace('text%2Fplain', 'text%2Fhtml')
        self.refused_by(self.plain.get(other, headers={'Range': 'bytes=1-2'}), 'SignatureDoesNotMatch', 403)

    def test_a_url_is_for_its_method_and_key(self):
        url = self.url('GET')
        self.refused_by(self.plain.put(url, data=b'bytes'), 'SignatureDoesNotMatch', 403)
        self.refused_by(self.plain.get(url.replace('/dir/', '/other/')), 'SignatureDoesNotMatch', 403)

    def test_a_url_expires(self):
        # The SDK lets a signature begin a minute ago.
        self.refused_by(self.plain.get(self.url('GET', Expired=-1)), 'AccessDenied', 403)

    def test_a_url_of_the_future_is_refused(self):
        with unittest.mock.patch('qcloud_cos.cos_auth.time') as time:
            time.time.return_value = 2 ** 33
            url = self.url('GET')
        self.refused_by(self.plain.get(url), 'RequestTimeTooSkewed', 403)

    def test_a_url_signed_with_another_key_is_refused(self):
        for pair, code in (({'SecretKey': 'other'}, 'SignatureDoesNotMatch'), ({'SecretId': 'other'}, 'InvalidAccessKeyId')):
            with self.subTest(code):
                other = self.server.path_client(**pair)
                self.addCleanup(other._session.close)
                self.refused_by(self.plain.get(self.url('GET', other)), code, 403)

    def test_without_a_signature_nothing_is_allowed(self):
        url = self.by_path.get_object_url(self.bucket, self.key)
        query = urlencode({'uploads': ''})
        for answer in (self.plain.get(url), self.plain.put(url, data=b'bytes'), self.plain.delete(url),
                       self.plain.post(f'{url}?{query}'), self.plain.get(f'http://{self.server.address}/{self.bucket}')):
            self.refused_by(answer, 'AccessDenied', 403)
        self.assertEqual(self.plain.head(url).status_code, 403)

    def test_an_anonymous_client_of_the_sdk_is_refused(self):
        anonymous = self.client_of(Anonymous=True)
        self.refused('AccessDenied', 403, anonymous.get_object, self.bucket, 'key')
        self.refused('AccessDenied', 403, anonymous.put_object, self.bucket, b'bytes', 'key')

    def test_a_url_of_one_bucket_opens_no_other(self):
        other = self.new_bucket()
        self.client.put_object(other, b'secret', 'key')
        host, elsewhere = (self.client.get_conf().get_host(Bucket=bucket) for bucket in (self.bucket, other))
        for method, status in (('PUT', 200), ('HEAD', 200), ('GET', 200), ('DELETE', 204)):
            url = self.client.get_presigned_url(self.bucket, 'key', method, Headers={'Host': host})
            query = url.split('?')[1]
            for target, said in ((f'http://{elsewhere}/key?{query}', host), (f'/key?{query}', elsewhere),
                                 (f'http://{elsewhere}/key?{query}', elsewhere)):
                with self.subTest(method=method, target=target, host=said):
                    self.assertEqual(self.send(method, target, said), 403)
            # Where it belongs, it does as it says: also when `Host` says something else, which then counts for nothing.
            self.assertEqual(self.send(method, f'http://{host}/key?{query}', elsewhere), status)
        self.assertEqual(self.client.get_object(other, 'key')['Body'].get_raw_stream().read(), b'secret')

    def test_a_url_for_an_upload_never_opens_the_object(self):
        """A signature has the names of parameters in lower case, and so does not tell `uploadId` from `UPLOADID`."""
        key = 'dir/a b+ü'
        self.client.put_object(self.bucket, b'object', key)
        for number, named in (('PARTNUMBER', 'UPLOADID'), ('partnumber', 'uploadid'), ('PartNumber', 'UploadID')):
            with self.subTest(named):
                upload = self.initiate(key)
                url = self.url('PUT', Params={'partNumber': '1', 'uploadId': upload})
                answer = self.plain.put(url.replace('partNumber=', f'{number}=').replace('uploadId=', f'{named}='), data=b'part')
                self.assertEqual(answer.status_code, 200, answer.text)
                self.assertEqual(self.parts(key, upload), {1: answer.headers['ETag']})
                self.assertEqual(self.get(key), b'object')
                url = self.url('DELETE', Params={'uploadId': upload})
                self.assertEqual(self.plain.delete(url.replace('uploadId=', f'{named}=')).status_code, 204)
                self.assertEqual(self.uploads(), [])
                self.assertEqual(self.get(key), b'object')

    def test_what_is_copied_must_be_signed(self):
        """A URL to write to one object must not make it a copy of another, which its bearer may not read."""
        key = 'dir/a b+ü'
        self.client.put_object(self.bucket, b'secret', 'secret')
        source = {'x-cos-copy-source': f'{self.bucket}.cos.{REGION}.myqcloud.com/secret'}
        upload = self.initiate(key)
        part = {'partNumber': '1', 'uploadId': upload}
        for url in (self.url('PUT'), self.url('PUT', Params=part)):
            self.refused_by(self.plain.put(url, headers=source), 'AccessDenied', 403)
        self.assertEqual(self.parts(key, upload), {})
        self.refused('NoSuchKey', 404, self.get, key)
        self.plain.put(self.url('PUT', Headers=source), headers=source).raise_for_status()
        self.assertEqual(self.get(key), b'secret')
        self.plain.put(self.url('PUT', Headers=source, Params=part), headers=source).raise_for_status()
        self.assertEqual(list(self.parts(key, upload)), [1])
