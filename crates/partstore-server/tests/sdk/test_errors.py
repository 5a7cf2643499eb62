"""Every error code of COS's pages that the server can give, provoked through the SDK.

What the SDK itself would not send goes through its `send_request`, with its signature. HEAD is not here: its answers
have no body, and the SDK calls each 404 NoSuchResource (`test_upload` meets it).

Of COS's table of error codes the server never gives
- PathConflict: of two operations on one name the last wins, and nothing is in conflict;
- SlowDown: it sets no rate, but accepts connections later.
"""

import os
import resource
import shutil
import tempfile
import unittest.mock

from server import MIB, REGION, ServerCase
from qcloud_cos.cos_auth import CosS3Auth
from qcloud_cos.cos_comm import get_md5

GIB = 1024 * MIB
XML_LIMIT = 4 * MIB


class Lying:
    """A body that says it has `length` bytes, and has those of `content`."""

    def __init__(self, length, content=b''):
        self._length, self._content = length, content

    def __len__(self):
        return self._length

    def __iter__(self):
        yield self._content


class Errors(ServerCase):
    def send(self, method, key=None, data=None, headers=None, client=None, **params):
        """A request that the SDK has no method for. In names of parameters `_` stands for `-`."""
        client = client or self.client
        params = {name.replace('_', '-'): value for name, value in params.items()}
        auth = CosS3Auth(client.get_conf(), key, params=params)
        url = client.get_conf().uri(bucket=self.bucket, path=key)
        body = {} if data is None else {'data': data}
        return client.send_request(method, url, self.bucket, auth=auth, headers=headers or {}, params=params, **body)


class Initiate(Errors):
    def test_an_encryption_that_is_not_aes256(self):
        for put in (self.initiate, lambda key, **headers: self.client.put_object(self.bucket, b'', key, **headers)):
            self.refused('SSEContentNotSupported', 400, put, 'key', ServerSideEncryption='cos/kms')

    def test_the_encryption_that_the_server_does_not_do(self):
        self.refused('OperationNotSupported', 400, self.initiate, 'key', ServerSideEncryption='AES256')

    def test_no_such_bucket(self):
        self.refused('NoSuchBucket', 404, self.client.create_multipart_upload, 'none-1250000000', 'key')

    def test_a_key_that_is_too_long(self):
        for key in ('k' * 851, '腾' * 284):
            self.refused('KeyTooLong', 400, self.initiate, key)

    def test_a_key_that_cos_forbids(self):
        for key in ('\\key', 'a\nb'):
            self.refused('InvalidArgument', 400, self.initiate, key)

    def test_metadata_of_more_than_4_kb(self):
        metadata = {f'x-cos-meta-{n}': 'v' * 1000 for n in range(5)}
        self.refused('MetadataTooLarge', 400, self.initiate, 'key', Metadata=metadata)


class UploadPart(Errors):
    def setUp(self):
        super().setUp()
        self.upload = self.initiate('key')

    def refused_part(self, code, status, number=1, body=b'bytes', upload=None, **options):
        error = self.refused(code, status, self.put_part, 'key', upload or self.upload, number, body, **options)
        self.assertEqual(self.parts('key', self.upload), {})
        return error

    def test_a_signature_that_is_none(self):
        anonymous = self.client_of(Anonymous=True)
        self.refused('AccessDenied', 403, anonymous.upload_part, self.bucket, 'key', b'bytes', 1, self.upload)

    def test_no_such_upload(self):
        for upload in ('none', '0' * len(self.upload), self.upload + '0', self.upload[:-1]):
            self.refused_part('NoSuchUpload', 404, upload=upload)

    def test_a_body_without_a_length(self):
        self.refused_part('MissingContentLength', 411, body=iter([b'chunk', b'chunk']))

    def test_a_body_of_more_than_5_gb(self):
        self.refused_part('EntityTooLarge', 400, body=Lying(5 * GIB + 1))

    def test_a_part_number_that_is_none(self):
        for number in (0, -1, 10001, 2 ** 64, 'abc', '', '1.0', '+1'):
            with self.subTest(number):
                error = self.refused_part('InvalidArgument', 400, number)
                self.assertIn('Part number must be an integer between 1 and 10000, inclusive', error.get_error_msg())

    def test_no_part_number(self):
        self.refused('InvalidArgument', 400, self.send, 'PUT', 'key', b'bytes', uploadId=self.upload)

    def test_no_upload_id(self):
        self.refused('InvalidArgument', 400, self.send, 'PUT', 'key', b'bytes', partNumber='1')

    def test_a_digest_that_does_not_fit(self):
        self.refused_part('BadDigest', 400, ContentMD5=get_md5(b'other').decode())

    def test_a_digest_that_is_none(self):
        for digest in ('abc', 'YWJj', '!' * 24, get_md5(b'bytes').decode() + '='):
            with self.subTest(digest):
                self.refused_part('InvalidDigest', 400, ContentMD5=digest)

    def test_an_object_put_with_a_digest_that_does_not_fit(self):
        put = self.client.put_object
        self.refused('BadDigest', 400, put, self.bucket, b'bytes', 'put', ContentMD5=get_md5(b'other').decode())
        self.refused('InvalidDigest', 400, put, self.bucket, b'bytes', 'put', ContentMD5='abc')
        self.refused('EntityTooLarge', 400, put, self.bucket, Lying(5 * GIB + 1), 'put')
        self.refused('NoSuchKey', 404, self.client.get_object, self.bucket, 'put')


class Complete(Errors):
    def setUp(self):
        super().setUp()
        self.upload = self.initiate('key')

    def part(self, number, size=MIB):
        return number, self.put_part('key', self.upload, number, b'x' * size)

    def refused_list(self, code, *parts, upload=None):
        before = self.parts('key', self.upload)
        status = 404 if code == 'NoSuchUpload' else 400
        self.refused(code, status, self.complete, 'key', upload or self.upload, *parts)
        self.assertEqual(self.parts('key', self.upload), before, 'a refused list changes nothing')

    def test_no_such_upload(self):
        self.refused_list('NoSuchUpload', self.part(1), upload='none')

    def test_no_parts(self):
        self.refused_list('MalformedXML')

    def test_a_body_that_is_no_list(self):
        for body in (b'', b'text', b'<CompleteMultipartUpload>', b'<Other/>', b'\xff', b'<CompleteMultipartUpload/>',
                     b'<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>'):
            with self.subTest(body):
                self.refused('MalformedXML', 400, self.send, 'POST', 'key', body, uploadId=self.upload)

    def test_a_list_that_is_too_long(self):
        self.refused_list('XMLSizeLimit', (1, 'x' * XML_LIMIT))

    def test_a_part_that_is_too_small(self):
        self.refused_list('EntityTooSmall', self.part(1, MIB - 1), self.part(2))

    def test_numbers_that_are_not_consecutive(self):
        first, third = self.part(1), self.part(3)
        self.refused_list('InvalidPart', first, third)

    def test_numbers_that_do_not_ascend(self):
        first, second = self.part(1), self.part(2)
        self.refused_list('InvalidPartOrder', second, first)
        self.refused_list('InvalidPartOrder', first, first)

    def test_a_part_that_is_not_there(self):
        first, (_, etag) = self.part(1), self.part(2)
        self.refused_list('InvalidPart', first, (2, '"d41d8cd98f00b204e9800998ecf8427e"'))
        self.refused_list('InvalidPart', first, (2, etag), (3, etag))
        self.refused_list('InvalidPart', first, (2, 'none'))

    def test_a_list_with_a_digest_of_another(self):
        number, etag = self.part(1)
        call = self.client.complete_multipart_upload
        parts = {'Part': [{'PartNumber': number, 'ETag': etag}]}
        self.refused('BadDigest', 400, call, self.bucket, 'key', self.upload, parts, ContentMD5=get_md5(b'').decode())

    def test_an_object_that_shall_not_be_replaced(self):
        self.client.put_object(self.bucket, b'there', 'key')
        number, etag = self.part(1)
        call = self.client.complete_multipart_upload
        parts = {'Part': [{'PartNumber': number, 'ETag': etag}]}
        self.refused('PreconditionFailed', 412, call, self.bucket, 'key', self.upload, parts, IfNoneMatch='*')
        self.assertEqual(self.get('key'), b'there')


class Lists(Errors):
    def test_parts_of_no_upload(self):
        self.refused('NoSuchUpload', 404, self.client.list_parts, self.bucket, 'key', 'none')

    def test_a_page_that_is_too_long_or_has_nothing(self):
        upload = self.initiate('key')
        for length in (0, -1, 1001, 'abc'):
            with self.subTest(length):
                self.refused('InvalidArgument', 400, self.client.list_parts, self.bucket, 'key', upload, MaxParts=length)
                self.refused('InvalidArgument', 400, self.client.list_multipart_uploads, self.bucket, MaxUploads=length)
                if length != 0:
                    self.refused('InvalidArgument', 400, self.client.list_objects, self.bucket, MaxKeys=length)
        self.assertEqual(self.client.list_objects(self.bucket, MaxKeys=0)['MaxKeys'], '0')

    def test_an_encoding_that_is_not_url(self):
        """The SDK sends no other."""
        upload = self.initiate('key')
        self.refused('InvalidArgument', 400, self.send, 'GET', 'key', uploadId=upload, encoding_type='base64')
        self.refused('InvalidArgument', 400, self.send, 'GET', uploads='', encoding_type='base64')
        self.refused('InvalidArgument', 400, self.send, 'GET', encoding_type='base64')

    def test_a_marker_that_is_none(self):
        upload = self.initiate('key')
        for marker in (-1, 'abc'):
            self.refused('InvalidArgument', 400, self.client.list_parts, self.bucket, 'key', upload,
                         PartNumberMarker=marker)
        self.refused('InvalidArgument', 400, self.client.list_multipart_uploads, self.bucket, KeyMarker='key',
                     UploadIdMarker='none')

    def test_no_such_bucket(self):
        for call in (self.client.list_objects, self.client.list_multipart_uploads):
            self.refused('NoSuchBucket', 404, call, 'none-1250000000')


class Abort(Errors):
    def test_no_such_upload(self):
        self.refused('NoSuchUpload', 404, self.client.abort_multipart_upload, self.bucket, 'key', 'none')


class Signatures(Errors):
    def test_no_signature(self):
        anonymous = self.client_of(Anonymous=True)
        self.refused('AccessDenied', 403, anonymous.list_objects, self.bucket)

    def test_another_key(self):
        other = self.client_of(SecretKey='other')
        self.refused('SignatureDoesNotMatch', 403, other.list_objects, self.bucket)

    def test_another_id(self):
        other = self.client_of(SecretId='other')
        self.refused('InvalidAccessKeyId', 403, other.list_objects, self.bucket)

    def test_a_signature_of_the_past_and_of_the_future(self):
        # Those of the SDK begin a minute before its clock, and last 10,000 s.
        for clock, code in ((10 ** 9, 'AccessDenied'), (2 ** 33, 'RequestTimeTooSkewed')):
            with self.subTest(code), unittest.mock.patch('qcloud_cos.cos_auth.time') as time:
                time.time.return_value = clock
                self.refused(code, 403, self.client.list_objects, self.bucket)


class Objects(Errors):
    def setUp(self):
        super().setUp()
        self.etag = self.client.put_object(self.bucket, b'0123456789', 'key')['ETag']

    def test_no_such_key_and_no_such_bucket(self):
        self.refused('NoSuchKey', 404, self.client.get_object, self.bucket, 'none')
        self.refused('NoSuchBucket', 404, self.client.get_object, 'none-1250000000', 'key')
        self.refused('NoSuchBucket', 404, self.client.put_object, 'none-1250000000', b'bytes', 'key')
        self.refused('NoSuchBucket', 404, self.client.delete_bucket, 'none-1250000000')

    def test_a_head_of_nothing(self):
        """The SDK makes up code and message, and takes the rest from the headers."""
        self.refused('NoSuchResource', 404, self.client.head_object, self.bucket, 'none')
        self.refused('NoSuchResource', 404, self.client.head_bucket, 'none-1250000000')

    def test_a_condition_that_is_not_met(self):
        get = self.client.get_object
        old = 'Thu, 01 Jan 2015 00:00:00 GMT'
        self.refused('PreconditionFailed', 412, get, self.bucket, 'key', IfMatch='"other"')
        self.refused('PreconditionFailed', 412, get, self.bucket, 'key', IfUnmodifiedSince=old)
        self.refused('PreconditionFailed', 412, self.client.put_object, self.bucket, b'', 'key', IfNoneMatch='*')
        self.assertEqual(self.get('key', IfMatch=self.etag), b'0123456789')

    def test_a_range_that_is_not_there(self):
        for wanted in ('bytes=10-', 'bytes=99-100', 'bytes=-0'):
            self.refused('InvalidRange', 416, self.client.get_object, self.bucket, 'key', Range=wanted)

    def test_a_copy_of_nothing(self):
        upload = self.initiate('copy')
        for key, bucket in (('none', self.bucket), ('key', 'none-1250000000')):
            source = {'Bucket': bucket, 'Key': key, 'Region': REGION}
            self.refused('NoSuchCopySource', 404, self.client.copy_object, self.bucket, 'copy', source)
            self.refused('NoSuchCopySource', 404, self.client.upload_part_copy, self.bucket, 'copy', 1, upload, source)

    def test_a_copy_that_can_not_be(self):
        upload = self.initiate('copy')
        source = {'Bucket': self.bucket, 'Key': 'key', 'Region': REGION}
        copy = self.client.upload_part_copy
        self.refused('InvalidRange', 416, copy, self.bucket, 'copy', 1, upload, source, 'bytes=5-10')
        self.refused('InvalidArgument', 400, copy, self.bucket, 'copy', 1, upload, source, 'bytes=5-')
        self.refused('InvalidArgument', 400, copy, self.bucket, 'copy', 10001, upload, source)
        self.refused('NoSuchUpload', 404, copy, self.bucket, 'copy', 1, 'none', source)
        self.refused('PreconditionFailed', 412, copy, self.bucket, 'copy', 1, upload, source, CopySourceIfMatch='"x"')
        self.refused('PreconditionFailed', 412, self.client.copy_object, self.bucket, 'copy', source,
                     CopySourceIfNoneMatch=self.etag)

    def test_a_method_that_does_nothing(self):
        self.refused('MethodNotAllowed', 405, self.send, 'POST', 'key')

    def test_an_append_elsewhere_than_at_the_end_of_what_began_with_one(self):
        append = self.client.append_object
        answer = append(self.bucket, 'log', 0, b'one,')
        append(self.bucket, 'log', int(answer['x-cos-next-append-position']), b'two')
        self.assertEqual(self.get('log'), b'one,two')
        self.refused('AppendPositionErr', 409, append, self.bucket, 'log', 4, b'two')
        self.refused('ObjectNotAppendable', 409, append, self.bucket, 'key', 10, b'more')

    def test_what_the_server_does_not_have(self):
        client = self.client
        for call in (lambda: client.put_object_acl(self.bucket, 'key', ACL='public-read'),
                     lambda: client.put_bucket_versioning(self.bucket, Status='Enabled'),
                     lambda: client.put_object_tagging(self.bucket, 'key', {'TagSet': {'Tag': []}}),
                     lambda: client.ci_delete_image_style(self.bucket, Request={'StyleName': 'style'})):
            self.refused('OperationNotSupported', 400, call)
        self.refused('InvalidArgument', 400, client.get_object, self.bucket, 'key', VersionId='1')
        self.assertEqual(self.get('key'), b'0123456789')

    def test_what_a_bucket_without_it_answers(self):
        client = self.client
        self.refused('NoSuchCORSConfiguration', 404, client.get_bucket_cors, self.bucket)
        self.refused('NoSuchLifecycleConfiguration', 404, client.get_bucket_lifecycle, self.bucket)
        grants = client.get_object_acl(self.bucket, 'key')['AccessControlList']['Grant']
        self.assertEqual([grant['Permission'] for grant in grants], ['FULL_CONTROL'])
        versions = client.list_objects_versions(self.bucket)['Version']
        self.assertEqual([(version['Key'], version['VersionId']) for version in versions], [('key', 'null')])
        self.assertNotIn('Status', client.get_bucket_versioning(self.bucket) or {})
        service = self.client_of(ServiceDomain=self.server.address)
        self.assertIn(self.bucket, [bucket['Name'] for bucket in service.list_buckets()['Buckets']['Bucket']])
        self.assertEqual(client.get_bucket_location(self.bucket)['LocationConstraint'], 'ap-beijing')


class Deletes(Errors):
    def test_a_list_without_its_digest(self):
        self.client.put_object(self.bucket, b'0123456789', 'key')
        document = b'<Delete><Object><Key>key</Key></Object></Delete>'
        self.refused('MissingContentMD5', 400, self.send, 'POST', data=document, delete='')
        wrong = {'Content-MD5': get_md5(b'another')}
        self.refused('BadDigest', 400, self.send, 'POST', data=document, headers=wrong, delete='')
        self.assertEqual(self.get('key'), b'0123456789')

    def test_a_list_that_is_none(self):
        for objects in ([], [{'Key': str(number)} for number in range(1001)]):
            self.refused('MalformedXML', 400, self.client.delete_objects, self.bucket, {'Object': objects})
        self.refused('NoSuchBucket', 404, self.client.delete_objects, 'none-1250000000', {'Object': [{'Key': 'key'}]})

    def test_keys_that_can_not_be(self):
        result = self.client.delete_objects(self.bucket, {'Object': [{'Key': '/key'}, {'Key': 'key'}]})
        self.assertEqual(result['Deleted'], [{'Key': 'key'}])
        self.assertEqual([(error['Key'], error['Code']) for error in result['Error']], [('/key', 'InvalidArgument')])


class Buckets(Errors):
    def test_a_bucket_that_is_not_empty(self):
        self.client.put_object(self.bucket, b'', 'key')
        self.refused('BucketNotEmpty', 409, self.client.delete_bucket, self.bucket)
        self.client.delete_object(self.bucket, 'key')
        upload = self.initiate('key')
        self.refused('BucketNotEmpty', 409, self.client.delete_bucket, self.bucket)
        self.client.abort_multipart_upload(self.bucket, 'key', upload)
        self.client.delete_bucket(self.bucket)
        self.refused('NoSuchResource', 404, self.client.head_bucket, self.bucket)

    def test_a_bucket_that_exists(self):
        self.refused('BucketAlreadyOwnedByYou', 409, self.client.create_bucket, self.bucket)

    def test_a_name_that_is_no_bucket(self):
        self.refused('InvalidBucketName', 400, self.client.create_bucket, 'a' * 60 + '-1250000000')


class Patience(Errors):
    ARGS = ('--patience', '1s')

    def test_a_client_that_stops_in_the_middle(self):
        upload = self.initiate('key')
        old = self.put_part('key', upload, 1, b'old')
        self.refused('RequestTimeOut', 400, self.put_part, 'key', upload, 1, Lying(MIB, b'half'))
        self.refused('RequestTimeOut', 400, self.client.put_object, self.bucket, Lying(MIB, b'half'), 'put')
        self.assertEqual(self.parts('key', upload), {1: old})
        self.refused('NoSuchKey', 404, self.client.get_object, self.bucket, 'put')


class FullDisk(Errors):
    # All but 2 GiB of what is free now.
    ARGS = ('--headroom', str(max(shutil.disk_usage(tempfile.gettempdir()).free - 2 * GIB, 0)))

    def test_a_body_that_the_disk_has_no_room_for(self):
        self.client = self.client_of(retry=0)
        upload = self.initiate('key')
        self.refused('ServiceUnavailable', 503, self.put_part, 'key', upload, 1, Lying(5 * GIB))
        etag = self.put_part('key', upload, 1, b'bytes')
        self.assertEqual(self.parts('key', upload), {1: etag})


class Disk(Errors):
    """A disk that fails. The SDK would try a 5xx again."""

    def setUp(self):
        super().setUp()
        self.client = self.client_of(retry=0)

    def test_a_file_that_can_not_be_written(self):
        upload = self.initiate('key')
        self.server.limit_files(MIB)
        self.refused('InternalError', 500, self.put_part, 'key', upload, 1, os.urandom(3 * MIB))
        self.server.limit_files(resource.RLIM_INFINITY)
        etag = self.put_part('key', upload, 1, b'bytes')
        self.assertEqual(self.parts('key', upload), {1: etag})

    def test_a_journal_that_can_not_be_written(self):
        """The store takes nothing more until it is opened again, and tells clients nothing of its files."""
        upload = self.initiate('key')
        before = self.put_part('key', upload, 1, b'before')
        self.server.limit_files(0)
        error = self.refused('ServiceUnavailable', 503, self.client.abort_multipart_upload, self.bucket, 'key', upload)
        self.assertNotIn(self.server.data, error.get_error_msg())
        self.server.limit_files(resource.RLIM_INFINITY)
        self.refused('ServiceUnavailable', 503, self.put_part, 'key', upload, 2, b'more')
        self.server.kill()
        self.server.restart()
        self.assertEqual(self.parts('key', upload), {1: before})

    def test_a_copy_of_bytes_that_are_damaged(self):
        self.client.put_object(self.bucket, b'o' * MIB, 'key')
        for blob in self.blobs_of(MIB):
            with open(blob, 'r+b') as file:
                file.write(b'damage')
        upload = self.initiate('copy')
        source = {'Bucket': self.bucket, 'Key': 'key', 'Region': REGION}
        self.refused('InternalError', 500, self.client.upload_part_copy, self.bucket, 'copy', 1, upload, source, 'bytes=0-9')
        self.assertEqual(self.parts('copy', upload), {})

    def blobs_of(self, length):
        found = [os.path.join(directory, file)
                 for directory, _, files in os.walk(os.path.join(self.server.data, 'blobs')) for file in files]
        for blob in found:
            os.chmod(blob, 0o600)
        blobs = [blob for blob in found if os.path.getsize(blob) >= length]
        self.assertTrue(blobs)
        return blobs
