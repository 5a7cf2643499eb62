"""Listings by the SDK: parts, uploads and objects, in pages, by prefix and delimiter, encoded and not."""

from server import ServerCase


class ListParts(ServerCase):
    def test_parts_are_listed_by_number_in_pages(self):
        upload = self.initiate('key')
        numbers = [10000, 2, 1, 999, 10, 3, 1000]
        etags = {number: self.put_part('key', upload, number, str(number)) for number in numbers}
        listed, marker, pages = {}, 0, 0
        while True:
            page = self.client.list_parts(self.bucket, 'key', upload, MaxParts=3, PartNumberMarker=marker)
            self.assertEqual((page['PartNumberMarker'], page['MaxParts']), (str(marker), '3'))
            listed |= {int(part['PartNumber']): part['ETag'] for part in page['Part']}
            self.assertEqual([int(part['Size']) for part in page['Part']],
                             [len(part['PartNumber']) for part in page['Part']])
            pages += 1
            if page['IsTruncated'] == 'false':
                break
            marker = int(page['NextPartNumberMarker'])
            self.assertEqual(marker, int(page['Part'][-1]['PartNumber']))
        self.assertEqual(list(listed.items()), sorted(etags.items()))
        self.assertEqual(pages, 3)

    def test_a_marker_need_not_be_a_part(self):
        upload = self.initiate('key')
        for number in (1, 5, 9):
            self.put_part('key', upload, number, b'')
        page = self.client.list_parts(self.bucket, 'key', upload, PartNumberMarker=3)
        self.assertEqual([part['PartNumber'] for part in page['Part']], ['5', '9'])

    def test_an_upload_without_parts_has_an_empty_list(self):
        upload = self.initiate('key')
        page = self.client.list_parts(self.bucket, 'key', upload)
        self.assertNotIn('Part', page)
        self.assertEqual(page['IsTruncated'], 'false')

    def test_a_list_says_whose_parts_they_are(self):
        upload = self.initiate('a b/腾', StorageClass='STANDARD_IA')
        page = self.client.list_parts(self.bucket, 'a b/腾', upload)
        self.assertEqual((page['Bucket'], page['Key'], page['UploadId'], page['StorageClass']),
                         (self.bucket, 'a b/腾', upload, 'STANDARD_IA'))
        encoded = self.client.list_parts(self.bucket, 'a b/腾', upload, EncodingType='url')
        self.assertEqual(encoded['Key'], 'a%20b%2F%E8%85%BE')


class ListUploads(ServerCase):
    def setUp(self):
        super().setUp()
        # Of one key, the earlier stands first.
        self.open = [(key, self.initiate(key)) for key in ('a/1', 'a/2', 'a/2', 'b', 'dir/x y', '腾')]

    def pages(self, **query):
        key, upload = '', ''
        while True:
            page = self.client.list_multipart_uploads(self.bucket, KeyMarker=key, UploadIdMarker=upload, **query)
            yield page
            if page['IsTruncated'] == 'false':
                return
            key, upload = page['NextKeyMarker'], page['NextUploadIdMarker'] or ''

    @staticmethod
    def entries(page):
        uploads = [(upload['Key'], upload['UploadId']) for upload in page.get('Upload', [])]
        return uploads, [prefix['Prefix'] for prefix in page.get('CommonPrefixes', [])]

    def test_uploads_are_listed_by_key_and_then_by_age(self):
        self.assertEqual(self.uploads(), self.open)

    def test_uploads_are_listed_in_pages_of_any_length(self):
        for length in range(1, 8):
            with self.subTest(length):
                pages = [self.entries(page)[0] for page in self.pages(MaxUploads=length)]
                self.assertEqual(sum(pages, []), self.open)
                self.assertEqual(len(pages), -(-len(self.open) // length))

    def test_a_key_marker_alone_passes_over_all_uploads_of_the_key(self):
        page = self.client.list_multipart_uploads(self.bucket, KeyMarker='a/2')
        self.assertEqual(self.entries(page)[0], self.open[3:])

    def test_an_upload_id_marker_without_a_key_marker_is_ignored(self):
        page = self.client.list_multipart_uploads(self.bucket, UploadIdMarker=self.open[2][1])
        self.assertEqual(self.entries(page)[0], self.open)

    def test_uploads_are_listed_by_prefix(self):
        page = self.client.list_multipart_uploads(self.bucket, Prefix='a/2')
        self.assertEqual(self.entries(page), (self.open[1:3], []))
        self.assertEqual(page['Prefix'], 'a/2')

    def test_a_delimiter_rolls_uploads_up(self):
        page = self.client.list_multipart_uploads(self.bucket, Delimiter='/')
        self.assertEqual(self.entries(page), ([self.open[3], self.open[5]], ['a/', 'dir/']))
        page = self.client.list_multipart_uploads(self.bucket, Prefix='a/', Delimiter='/')
        self.assertEqual(self.entries(page), (self.open[:3], []))

    def test_common_prefixes_are_counted_in_pages(self):
        for length in range(1, 5):
            with self.subTest(length):
                pages = [self.entries(page) for page in self.pages(MaxUploads=length, Delimiter='/')]
                self.assertEqual(sum((uploads for uploads, _ in pages), []), [self.open[3], self.open[5]])
                self.assertEqual(sum((prefixes for _, prefixes in pages), []), ['a/', 'dir/'])
                self.assertLessEqual(max(len(uploads) + len(prefixes) for uploads, prefixes in pages), length)

    def test_names_are_encoded_when_that_is_asked_for(self):
        page = self.client.list_multipart_uploads(self.bucket, Prefix='dir/', EncodingType='url')
        self.assertEqual((page['Prefix'], self.entries(page)[0][0][0]), ('dir%2F', 'dir%2Fx%20y'))

    def test_uploads_of_other_buckets_are_not_listed(self):
        self.assertNotIn('Upload', self.client.list_multipart_uploads(self.new_bucket()))

    def test_the_uploads_outlive_kill_9(self):
        self.server.kill()
        self.server.restart()
        self.assertEqual(self.uploads(), self.open)


class ListObjects(ServerCase):
    KEYS = ['a/1', 'a/2', 'b', 'c/1', 'x y&<', '腾/讯']

    def setUp(self):
        super().setUp()
        for key in self.KEYS:
            self.client.put_object(self.bucket, key.encode(), key)

    def pages(self, **query):
        marker = ''
        while True:
            page = self.client.list_objects(self.bucket, Marker=marker, **query)
            yield self.entries(page)
            if page['IsTruncated'] == 'false':
                return
            marker = page['NextMarker']

    @staticmethod
    def entries(page):
        return ([object['Key'] for object in page.get('Contents', [])],
                [prefix['Prefix'] for prefix in page.get('CommonPrefixes', [])])

    def test_objects_are_listed_with_what_head_says_of_them(self):
        listed = self.client.list_objects(self.bucket)['Contents']
        self.assertEqual([object['Key'] for object in listed], self.KEYS)
        for object in listed:
            head = self.client.head_object(self.bucket, object['Key'])
            self.assertEqual((object['ETag'], object['Size']), (head['ETag'], head['Content-Length']))

    def test_objects_are_listed_in_pages_of_any_length(self):
        for length in range(1, 8):
            with self.subTest(length):
                pages = list(self.pages(MaxKeys=length))
                self.assertEqual(sum((keys for keys, _ in pages), []), self.KEYS)
                self.assertEqual(len(pages), -(-len(self.KEYS) // length))

    def test_a_delimiter_rolls_objects_up_in_pages_of_any_length(self):
        for length in range(1, 7):
            with self.subTest(length):
                pages = list(self.pages(MaxKeys=length, Delimiter='/'))
                self.assertEqual(sum((keys for keys, _ in pages), []), ['b', 'x y&<'])
                self.assertEqual(sum((prefixes for _, prefixes in pages), []), ['a/', 'c/', '腾/'])

    def test_objects_are_listed_by_prefix_and_after_a_marker(self):
        self.assertEqual(self.entries(self.client.list_objects(self.bucket, Prefix='a/')), (['a/1', 'a/2'], []))
        self.assertEqual(self.entries(self.client.list_objects(self.bucket, Prefix='none')), ([], []))
        # A marker need not be a key.
        self.assertEqual(self.entries(self.client.list_objects(self.bucket, Marker='a/1x', Prefix='a/')), (['a/2'], []))

    def test_names_are_encoded_when_that_is_asked_for(self):
        page = self.client.list_objects(self.bucket, Prefix='x', EncodingType='url')
        self.assertEqual(self.entries(page)[0], ['x%20y%26%3C'])

    def test_an_open_upload_is_no_object(self):
        self.put_part('open', self.initiate('open'), 1, b'bytes')
        self.assertEqual(list(self.pages())[0][0], self.KEYS)
