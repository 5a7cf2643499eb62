"""Rules that abort uploads, by the SDK."""

import time

from server import ServerCase


def rule(prefix, days=1, **more):
    return {
        'ID': f'abort {prefix}',
        'Filter': {'Prefix': prefix},
        'Status': 'Enabled',
        'AbortIncompleteMultipartUpload': {'DaysAfterInitiation': str(days)},
    } | more


class Lifecycle(ServerCase):
    ARGS = ('--lifecycle-day', '1s')
    NONE = ('NoSuchLifecycleConfiguration', 404)

    def put(self, *rules):
        self.client.put_bucket_lifecycle(self.bucket, {'Rule': list(rules)})

    def rules(self):
        return self.client.get_bucket_lifecycle(self.bucket)['Rule']

    def test_rules_are_kept_replaced_and_removed(self):
        self.refused(*self.NONE, self.rules)
        rules = [rule('tmp/ <&>腾'), rule('off/', 7, Status='Disabled')]
        self.put(*rules)
        self.assertEqual(self.rules(), rules)
        self.put(rules[1])
        self.assertEqual(self.rules(), rules[1:])
        self.client.delete_bucket_lifecycle(self.bucket)
        self.refused(*self.NONE, self.rules)

    def test_other_rules_are_refused_and_those_before_stay(self):
        kept = [rule('kept')]
        self.put(*kept)
        for more, code in (
            ({'Expiration': {'Days': 1}}, 'OperationNotSupported'),
            ({'Transition': [{'Days': 1, 'StorageClass': 'ARCHIVE'}] * 2}, 'OperationNotSupported'),
            ({'NoncurrentVersionExpiration': {'NoncurrentDays': 1}}, 'OperationNotSupported'),
            ({'Filter': {'Prefix': 'a', 'Tag': [{'Key': 'a', 'Value': 'b'}] * 2}}, 'OperationNotSupported'),
            ({'Filter': {'And': {'Prefix': 'a'}}}, 'OperationNotSupported'),
            ({'AbortIncompleteMultipartUpload': {'DaysAfterInitiation': '0'}}, 'InvalidArgument'),
            ({'AbortIncompleteMultipartUpload': {'DaysAfterInitiation': '-1'}}, 'InvalidArgument'),
            ({'AbortIncompleteMultipartUpload': {}}, 'MalformedXML'),
            ({'Status': 'On'}, 'MalformedXML'),
            ({'Prefix': 'a'}, 'MalformedXML'),
            ({'Unknown': 'a'}, 'MalformedXML'),
            ({'ID': 'abort kept'}, 'InvalidArgument'),
            ({'ID': 'a' * 256}, 'InvalidArgument'),
        ):
            with self.subTest(more):
                self.refused(code, 400, self.put, *kept, rule('b', **more))
        self.refused('MalformedXML', 400, self.put)
        self.assertEqual(self.rules(), kept)

    def test_old_uploads_are_aborted_by_a_rule_and_others_stay(self):
        self.put(rule('tmp/'), rule('off/', Status='Disabled'), rule('late/', 1000))
        keys = ['a', 'late/a', 'off/a', 'tmp/a', 'tmp/b']
        for key in keys:
            self.put_part(key, self.initiate(key), 1, b'1')
        until = time.monotonic() + 30
        while len(self.uploads()) > 3 and time.monotonic() < until:
            time.sleep(0.1)
        self.assertEqual([key for key, _ in self.uploads()], keys[:3])
