"""Uploads by the SDK: one that is killed and resumed, parts that are overwritten, digests, aborts, copies."""

import hashlib
import os
import threading

from server import MIB, REGION, ServerCase
from qcloud_cos import CosS3Client
from qcloud_cos.cos_comm import get_md5, get_raw_md5
from qcloud_cos.cos_exception import CosClientError


class Recorder(CosS3Client):
    """A client that remembers which parts it sent, and which of them the server acknowledged."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.sent, self.acknowledged = [], {}
        self.digests = 0
        self._lock = threading.Lock()

    def upload_part(self, Bucket, Key, Body, PartNumber, UploadId, *args, **kwargs):
        with self._lock:
            self.sent.append(PartNumber)
        answer = super().upload_part(Bucket, Key, Body, PartNumber, UploadId, *args, **kwargs)
        with self._lock:
            self.acknowledged[PartNumber] = answer['ETag']
            self.at(len(self.acknowledged))
        return answer

    def send_request(self, method, url, *args, **kwargs):
        if 'Content-MD5' in kwargs['headers']:
            with self._lock:
                self.digests += 1
        return super().send_request(method, url, *args, **kwargs)

    def at(self, acknowledged):
        """Called after each acknowledgement."""


class Resume(ServerCase):
    SIZE = 100 * MIB

    def setUp(self):
        super().setUp()
        self.path = self.file(self.SIZE)

    def upload(self, client, **options):
        return client.upload_file(self.bucket, 'file', self.path, PartSize=1, MAXThread=5, **options)

    def check_object(self):
        target = os.path.join(self.directory(), 'file')
        self.client.download_file(self.bucket, 'file', target, PartSize=20, DumpRecordDir=self.directory())
        self.assertEqual(digest(target), digest(self.path))
        self.assertEqual(self.uploads(), [], 'the SDK went on with the upload that it had begun')

    def test_an_upload_that_kill_9_interrupts_is_resumed_without_its_finished_parts(self):
        first = self.client_of(Recorder, retry=0)
        first.at = lambda count: self.server.kill() if count == 40 else None
        with self.assertRaises(CosClientError):
            self.upload(first)
        self.server.restart()
        [(_, upload)] = self.uploads()
        finished = self.parts('file', upload)
        self.assertGreaterEqual(len(first.acknowledged), 40)
        self.assertLess(len(finished), 100)
        self.assertEqual(finished | first.acknowledged, finished, 'what was acknowledged is there')
        second = self.client_of(Recorder)
        self.upload(second)
        self.assertEqual(sorted(second.sent), [number for number in range(1, 101) if number not in finished])
        self.check_object()

    def test_an_upload_goes_on_when_the_server_is_killed_and_back_within_the_retries(self):
        client = self.client_of(Recorder)
        back = threading.Timer(0.3, self.server.restart)
        client.at = lambda count: (self.server.kill(), back.start()) if count == 30 else None
        self.upload(client)
        self.assertGreater(client.get_retry_exe_times(), 0)
        self.assertEqual(sorted(client.acknowledged), list(range(1, 101)))
        self.check_object()

    def test_a_file_is_uploaded_with_the_digest_of_each_part(self):
        client = self.client_of(Recorder)
        self.upload(client, EnableMD5=True)
        self.assertEqual(client.digests, 100)
        self.check_object()


class Parts(ServerCase):
    def test_of_two_parts_with_one_number_the_last_is_in_the_object(self):
        upload = self.initiate('key')
        old = self.put_part('key', upload, 1, b'o' * MIB)
        last = self.put_part('key', upload, 2, b'end')
        new = self.put_part('key', upload, 1, b'n' * (MIB + 1))
        self.assertEqual(self.parts('key', upload), {1: new, 2: last})
        self.refused('InvalidPart', 400, self.complete, 'key', upload, (1, old), (2, last))
        self.assertEqual(self.parts('key', upload), {1: new, 2: last}, 'a refused list changes nothing')
        self.complete('key', upload, (1, new), (2, last))
        self.assertEqual(self.get('key'), b'n' * (MIB + 1) + b'end')

    def test_a_part_may_be_overwritten_by_its_own_bytes(self):
        upload = self.initiate('key')
        etags = {self.put_part('key', upload, 1, b'same') for _ in range(2)}
        self.assertEqual(etags, {get_raw_md5(b'same')})
        self.complete('key', upload, (1, etags.pop()))
        self.assertEqual(self.get('key'), b'same')

    def test_parts_come_in_any_order(self):
        upload = self.initiate('key')
        bodies = {number: bytes([number]) * MIB for number in (3, 1, 4, 2)}
        etags = {number: self.put_part('key', upload, number, body) for number, body in bodies.items()}
        self.complete('key', upload, *sorted(etags.items()))
        self.assertEqual(self.get('key'), b''.join(bodies[number] for number in sorted(bodies)))

    def test_a_digest_that_fits_is_taken_and_one_that_does_not_leaves_the_part_before(self):
        upload = self.initiate('key')
        etag = self.put_part('key', upload, 1, b'good', EnableMD5=True)
        wrong = get_md5(b'other').decode()
        self.refused('BadDigest', 400, self.put_part, 'key', upload, 1, b'evil', ContentMD5=wrong)
        self.assertEqual(self.parts('key', upload), {1: etag})

    def test_an_object_is_put_with_its_digest(self):
        answer = self.client.put_object(self.bucket, b'bytes', 'key', EnableMD5=True)
        self.assertEqual(answer['ETag'], get_raw_md5(b'bytes'))
        self.assertEqual(self.get('key'), b'bytes')

    def test_an_empty_part_makes_an_empty_object(self):
        upload = self.initiate('empty')
        etag = self.put_part('empty', upload, 1, b'')
        self.assertEqual(etag, '"d41d8cd98f00b204e9800998ecf8427e"')
        answer = self.complete('empty', upload, (1, etag))
        self.assertEqual(answer['ETag'], '"59adb24ef3cdbe0297f05b395827453f-1"')
        self.assertEqual(self.get('empty'), b'')

    def test_an_empty_file_is_uploaded(self):
        self.client.upload_file(self.bucket, 'empty', self.file(0))
        self.assertEqual(self.client.head_object(self.bucket, 'empty')['Content-Length'], '0')

    def test_the_etag_and_the_crc_of_an_object_are_those_of_its_parts_together(self):
        upload = self.initiate('key')
        bodies = (b'a' * MIB, b'b')
        etags = [self.put_part('key', upload, number, body) for number, body in enumerate(bodies, 1)]
        answer = self.complete('key', upload, *enumerate(etags, 1))
        whole = hashlib.md5(b''.join(hashlib.md5(body).digest() for body in bodies)).hexdigest()
        self.assertEqual(answer['ETag'], f'"{whole}-2"')
        head = self.client.head_object(self.bucket, 'key')
        self.assertEqual(head['ETag'], answer['ETag'])
        self.assertEqual(head['x-cos-hash-crc64ecma'], answer['x-cos-hash-crc64ecma'])

    def test_the_check_value_of_the_crc(self):
        """That of CRC-64/XZ, as unsigned decimal."""
        answer = self.client.put_object(self.bucket, b'123456789', 'key')
        self.assertEqual(answer['x-cos-hash-crc64ecma'], '11051210869376104954')

    def test_complete_may_be_repeated(self):
        upload = self.initiate('key')
        etag = self.put_part('key', upload, 1, b'bytes')
        first, second = (self.complete('key', upload, (1, etag)) for _ in range(2))
        self.assertEqual(first['ETag'], second['ETag'])
        self.refused('NoSuchUpload', 404, self.client.list_parts, self.bucket, 'key', upload)

    def test_an_aborted_upload_is_gone(self):
        upload = self.initiate('key')
        self.put_part('key', upload, 1, b'bytes')
        self.client.abort_multipart_upload(self.bucket, 'key', upload)
        self.assertEqual(self.uploads(), [])
        self.refused('NoSuchUpload', 404, self.client.list_parts, self.bucket, 'key', upload)
        self.refused('NoSuchUpload', 404, self.put_part, 'key', upload, 1, b'bytes')
        self.refused('NoSuchUpload', 404, self.client.abort_multipart_upload, self.bucket, 'key', upload)
        self.refused('NoSuchResource', 404, self.client.head_object, self.bucket, 'key')

    def test_an_upload_belongs_to_its_key(self):
        upload = self.initiate('key')
        self.refused('NoSuchUpload', 404, self.put_part, 'other', upload, 1, b'bytes')
        self.refused('NoSuchUpload', 404, self.client.abort_multipart_upload, self.bucket, 'other', upload)
        self.assertEqual(self.uploads(), [('key', upload)])

    def test_a_stream_from_a_buffer_is_uploaded(self):
        path = self.file(5 * MIB + 7)
        with open(path, 'rb') as body:
            self.client.upload_file_from_buffer(self.bucket, 'key', body, MaxBufferSize=2, PartSize=1)
        with open(path, 'rb') as body:
            self.assertEqual(self.get('key'), body.read())


class Objects(ServerCase):
    def test_an_object_outlives_kill_9_and_a_stop(self):
        self.client.put_object(self.bucket, b'bytes', 'put')
        upload = self.initiate('multipart')
        self.complete('multipart', upload, (1, self.put_part('multipart', upload, 1, b'parts')))
        self.server.kill()
        self.server.restart()
        self.assertEqual((self.get('put'), self.get('multipart')), (b'bytes', b'parts'))
        self.client._session.close()
        self.assertTrue(self.server.stop())
        self.server.restart()
        self.assertEqual((self.get('put'), self.get('multipart')), (b'bytes', b'parts'))

    def test_a_server_that_listens_ends_well(self):
        """Also when it is told to stop at once."""
        for _ in range(10):
            self.assertTrue(self.server.stop())
            self.server.restart()

    def test_headers_of_an_object_come_back(self):
        headers = {'ContentType': 'text/plain; charset=utf-8', 'CacheControl': 'no-cache',
                   'ContentDisposition': 'attachment; filename="a b.txt"', 'ContentLanguage': 'zh-CN',
                   'Expires': 'Thu, 01 Dec 2044 16:00:00 GMT',
                   'Metadata': {'x-cos-meta-plain': 'value', 'x-cos-meta-name': '腾讯云'}}
        self.client.put_object(self.bucket, b'bytes', 'put', **headers)
        upload = self.initiate('multipart', **headers)
        self.complete('multipart', upload, (1, self.put_part('multipart', upload, 1, b'bytes')))
        for key in ('put', 'multipart'):
            for answer in (self.client.head_object(self.bucket, key), self.client.get_object(self.bucket, key)):
                with self.subTest(key):
                    self.assertEqual(answer['Content-Type'], 'text/plain; charset=utf-8')
                    self.assertEqual(answer['Cache-Control'], 'no-cache')
                    self.assertEqual(answer['Content-Disposition'], 'attachment; filename="a b.txt"')
                    self.assertEqual(answer['Content-Language'], 'zh-CN')
                    self.assertEqual(answer['Expires'], 'Thu, 01 Dec 2044 16:00:00 GMT')
                    self.assertEqual(answer['x-cos-meta-plain'], 'value')
                    # requests reads headers as Latin-1.
                    self.assertEqual(answer['x-cos-meta-name'].encode('latin-1').decode(), '腾讯云')

    def test_a_request_replaces_headers_of_the_answer(self):
        self.client.put_object(self.bucket, b'bytes', 'key')
        answer = self.client.get_object(self.bucket, 'key', ResponseContentType='text/html',
                                        ResponseContentDisposition='attachment')
        self.assertEqual(answer['Content-Type'], 'text/html')
        self.assertEqual(answer['Content-Disposition'], 'attachment')

    def test_ranges_are_read(self):
        self.client.put_object(self.bucket, b'0123456789', 'key')
        for wanted, bytes_there in (('0-0', b'0'), ('3-5', b'345'), ('7-', b'789'), ('-2', b'89'), ('8-99', b'89')):
            with self.subTest(wanted):
                self.assertEqual(self.get('key', Range=f'bytes={wanted}'), bytes_there)

    def test_the_downloader_finds_the_crc_that_the_server_says(self):
        """In ranges, by several threads, and of parts that are not those of the upload."""
        path, target = self.file(4 * MIB + 7), os.path.join(self.directory(), 'file')
        self.client.upload_file(self.bucket, 'file', path, PartSize=3)
        self.client.download_file(self.bucket, 'file', target, PartSize=1, EnableCRC=True,
                                  DumpRecordDir=self.directory())
        self.assertEqual(digest(target), digest(path))

    def test_keys_may_be_any_text(self):
        keys = ('腾讯云.txt', 'a b+c%20d&e=f?g#h', 'a//b', 'dir/', './a/../b', '...', "quote'\"<>&", 'é\u0301', '🦀' * 10,
                '~-_.!*()[]{}|^`\\', 'q' * 850)
        for key in keys:
            with self.subTest(key):
                self.client.put_object(self.bucket, key.encode(), key)
                self.assertEqual(self.get(key), key.encode())
                upload = self.initiate(key)
                etag = self.put_part(key, upload, 1, key.encode() * 2)
                self.assertEqual(self.uploads(), [(key, upload)])
                self.assertEqual(self.complete(key, upload, (1, etag))['Key'], key)
                self.assertEqual(self.get(key), key.encode() * 2)
        self.assertEqual(self.listed_keys(), sorted(keys, key=str.encode))

    def listed_keys(self):
        return [object['Key'] for object in self.client.list_objects(self.bucket)['Contents']]

    def test_a_key_may_be_reached_by_host_and_by_path(self):
        by_path = self.server.path_client()
        self.addCleanup(by_path._session.close)
        by_path.put_object(self.bucket, b'bytes', f'{self.bucket}/dir/key')
        self.assertEqual(self.get('dir/key'), b'bytes')

    def test_many_objects_are_deleted_at_once(self):
        keys = ['a b/\u00fc', 'c', 'd']
        for key in keys:
            self.client.put_object(self.bucket, b'', key)
        listed = [{'Key': key} for key in (*keys[:2], 'none')]
        self.assertEqual(self.client.delete_objects(self.bucket, {'Object': listed}), {'Deleted': listed})
        self.client.delete_objects(self.bucket, {'Quiet': 'true', 'Object': [{'Key': 'd'}]})
        self.assertNotIn('Contents', self.client.list_objects(self.bucket))

    def test_a_deleted_object_is_gone_and_may_be_deleted_again(self):
        self.client.put_object(self.bucket, b'bytes', 'key')
        for _ in range(2):
            self.client.delete_object(self.bucket, 'key')
            self.assertFalse(self.client.object_exists(self.bucket, 'key'))


class Copies(ServerCase):
    def setUp(self):
        super().setUp()
        self.source = {'Bucket': self.bucket, 'Key': '源/source', 'Region': REGION}

    def put_source(self, *bodies):
        upload = self.initiate(self.source['Key'], ContentType='text/plain')
        etags = [self.put_part(self.source['Key'], upload, number, body) for number, body in enumerate(bodies, 1)]
        self.complete(self.source['Key'], upload, *enumerate(etags, 1))
        return b''.join(bodies)

    def test_parts_are_copied_whole_and_by_range(self):
        whole = self.put_source(os.urandom(MIB), os.urandom(MIB + 5))
        upload = self.initiate('copy')
        ranges = ('', f'bytes=0-{MIB - 1}', f'bytes=7-{MIB + 20}')
        copied = [self.client.upload_part_copy(self.bucket, 'copy', number, upload, self.source, wanted)
                  for number, wanted in enumerate(ranges, 1)]
        expected = [whole, whole[:MIB], whole[7:MIB + 21]]
        self.assertEqual([answer['ETag'] for answer in copied], [get_raw_md5(bytes_) for bytes_ in expected])
        self.complete('copy', upload, *((number, answer['ETag']) for number, answer in enumerate(copied, 1)))
        self.assertEqual(self.get('copy'), b''.join(expected))

    def test_an_object_is_copied_with_its_headers_or_with_new_ones(self):
        whole = self.put_source(os.urandom(MIB), b'end')
        other = self.new_bucket()
        self.client.copy_object(other, 'copy', self.source)
        self.client.copy_object(self.bucket, 'replaced', self.source, 'Replaced', ContentType='image/png')
        head = self.client.head_object(other, 'copy')
        self.assertEqual((head['Content-Type'], int(head['Content-Length'])), ('text/plain', len(whole)))
        self.assertEqual(self.client.head_object(self.bucket, 'replaced')['Content-Type'], 'image/png')
        self.assertEqual(self.get('replaced'), whole)

    def test_a_copy_stays_when_its_source_goes(self):
        whole = self.put_source(os.urandom(MIB), b'end')
        self.client.copy_object(self.bucket, 'copy', self.source)
        self.client.delete_object(self.bucket, self.source['Key'])
        self.assertEqual(self.get('copy'), whole)

    def test_copy_chooses_parts_for_a_large_object(self):
        """The SDK asks the source's own host for its length: so it is told that the server is its proxy."""
        whole = self.put_source(os.urandom(3 * MIB), b'end')
        client = self.server.proxied_client()
        self.addCleanup(client._session.close)
        client._conf.set_copy_part_threshold_size(MIB)
        client.copy(self.bucket, 'copy', self.source, PartSize=1, StorageClass='STANDARD_IA')
        self.assertEqual(self.get('copy'), whole)
        head = self.client.head_object(self.bucket, 'copy')
        self.assertEqual(head['x-cos-storage-class'], 'STANDARD_IA')
        self.assertTrue(head['ETag'].endswith('-4"'), head['ETag'])


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read()).hexdigest()
