"""What a bucket does not have: reads answer as one without it does, and writes are refused."""

import hashlib
import os
import socket
import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from server import Server

ADDRESS = os.environ["PARTSTORE_S3"]


def connect(address):
    return boto3.client(
        "s3",
        endpoint_url=f"http://{address}",
        aws_access_key_id="id",
        aws_secret_access_key="secret",
        region_name="local",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def s3():
    return connect(ADDRESS)


@pytest.fixture
def bucket(s3, request):
    name = hashlib.md5(request.node.name.encode()).hexdigest()
    s3.create_bucket(Bucket=name)
    yield name
    for entry in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=entry["Key"])
    s3.delete_bucket(Bucket=name)


def refused(call, code, status):
    with pytest.raises(ClientError) as error:
        call()
    answer = error.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (
        code,
        status,
    )
    return answer["Error"]["Message"]


def told(answer):
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


READS = {
    "get_bucket_accelerate_configuration": {},
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_logging": {},
    "get_bucket_notification_configuration": {},
    "get_bucket_ownership_controls": {
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    },
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_policy_status": "NoSuchBucketPolicy",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_request_payment": {"Payer": "BucketOwner"},
    "get_bucket_tagging": "NoSuchTagSet",
    "get_bucket_versioning": {},
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    "get_public_access_block": "NoSuchPublicAccessBlockConfiguration",
}


@pytest.mark.parametrize("name", READS)
def test_a_read_answers_as_a_bucket_without_it(s3, bucket, name):
    call, expected = getattr(s3, name), READS[name]
    if isinstance(expected, str):
        refused(lambda: call(Bucket=bucket), expected, 404)
    else:
        assert told(call(Bucket=bucket)) == expected
    refused(lambda: call(Bucket="not-there"), "NoSuchBucket", 404)


def test_an_object_has_no_tags_no_lock_and_the_owner_only(s3, bucket):
    s3.put_object(Bucket=bucket, Key="key", Body=b"", ACL="private")
    named = dict(Bucket=bucket, Key="key")
    assert s3.get_object_tagging(**named)["TagSet"] == []
    (grant,) = s3.get_object_acl(**named)["Grants"]
    assert grant["Permission"] == "FULL_CONTROL"
    lock = "NoSuchObjectLockConfiguration"
    refused(lambda: s3.get_object_retention(**named), lock, 404)
    refused(lambda: s3.get_object_legal_hold(**named), lock, 404)
    missing = dict(Bucket=bucket, Key="missing")
    refused(lambda: s3.get_object_tagging(**missing), "NoSuchKey", 404)
    refused(lambda: s3.get_object_acl(**missing), "NoSuchKey", 404)


WRITES = {
    "put_bucket_accelerate_configuration": {
        "AccelerateConfiguration": {"Status": "Enabled"}
    },
    "put_bucket_encryption": {
        "ServerSideEncryptionConfiguration": {
            "Rules": [
                {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            ]
        }
    },
    "put_bucket_logging": {"BucketLoggingStatus": {}},
    "put_bucket_notification_configuration": {"NotificationConfiguration": {}},
    "put_bucket_ownership_controls": {
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    },
    "put_bucket_policy": {"Policy": "{}"},
    "put_bucket_replication": {
        "ReplicationConfiguration": {
            "Role": "arn:aws:iam::1:role/a",
            "Rules": [{"Status": "Enabled", "Destination": {"Bucket": "b"}}],
        }
    },
    "put_bucket_request_payment": {"RequestPaymentConfiguration": {"Payer": "Requester"}},
    "put_bucket_tagging": {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}},
    "put_bucket_versioning": {"VersioningConfiguration": {"Status": "Enabled"}},
    "put_bucket_website": {
        "WebsiteConfiguration": {"IndexDocument": {"Suffix": "index.html"}}
    },
    "put_object_lock_configuration": {
        "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}
    },
    "put_public_access_block": {
        "PublicAccessBlockConfiguration": {"BlockPublicAcls": True}
    },
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_refused(s3, bucket, name):
    call = lambda: getattr(s3, name)(Bucket=bucket, **WRITES[name])
    message = refused(call, "NotImplemented", 501)
    assert message.endswith("is not supported")


OBJECT_WRITES = {
    "put_object_legal_hold": {"LegalHold": {"Status": "ON"}},
    "put_object_retention": {
        "Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": "2030-01-01"}
    },
    "put_object_tagging": {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}},
}


@pytest.mark.parametrize("name", OBJECT_WRITES)
def test_a_write_to_an_object_is_refused(s3, bucket, name):
    s3.put_object(Bucket=bucket, Key="key", Body=b"")
    call = lambda: getattr(s3, name)(Bucket=bucket, Key="key", **OBJECT_WRITES[name])
    refused(call, "NotImplemented", 501)


NO_ACLS = ("AccessControlListNotSupported", 400)
WISHES = [
    {"ACL": "public-read"},
    {"GrantRead": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'},
    {"Tagging": "a=b"},
    {"ServerSideEncryption": "AES256"},
    {"WebsiteRedirectLocation": "/other"},
    {"ObjectLockLegalHoldStatus": "ON"},
]


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: next(iter(wish)))
def test_what_would_be_dropped_from_an_object_is_refused(s3, bucket, wish):
    named = dict(Bucket=bucket, Key="key")
    calls = [
        lambda: s3.put_object(Body=b"bytes", **named, **wish),
        lambda: s3.create_multipart_upload(**named, **wish),
    ]
    is_acl = "ACL" in wish or "GrantRead" in wish
    for call in calls:
        refused(call, *(NO_ACLS if is_acl else ("NotImplemented", 501)))
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_form_is_refused_before_its_file_is_read(s3, bucket):
    form = s3.generate_presigned_post(Bucket=bucket, Key="key")
    kind = "multipart/form-data; boundary=-"
    host, port = ADDRESS.rsplit(":", 1)
    path = form["url"].split(ADDRESS, 1)[1]
    head = f"POST {path} HTTP/1.1\r\nHost: {ADDRESS}\r\nContent-Type: {kind}\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        # No byte of the body is sent.
        connection.sendall(f"{head}Content-Length: 5000000000\r\n\r\n".encode())
        answer = connection.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 501") and b"NotImplemented" in answer


def test_the_private_acl_is_taken(s3, bucket):
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_object(Bucket=bucket, Key="key", Body=b"", ACL="bucket-owner-full-control")
    s3.put_object_acl(Bucket=bucket, Key="key", ACL="private")
    policy = told(s3.get_object_acl(Bucket=bucket, Key="key"))
    s3.put_object_acl(Bucket=bucket, Key="key", AccessControlPolicy=policy)
    policy["Grants"][0]["Permission"] = "READ"
    put = dict(Bucket=bucket, Key="key", AccessControlPolicy=policy)
    refused(lambda: s3.put_object_acl(**put), *NO_ACLS)
    refused(lambda: s3.put_bucket_acl(Bucket=bucket, ACL="public-read"), *NO_ACLS)
    missing = dict(Bucket=bucket, Key="missing", ACL="private")
    refused(lambda: s3.put_object_acl(**missing), "NoSuchKey", 404)


def test_what_does_not_exist_can_be_removed(s3, bucket):
    for name in ["cors", "encryption", "lifecycle", "policy", "replication", "tagging"]:
        getattr(s3, f"delete_bucket_{name}")(Bucket=bucket)
    s3.delete_bucket_website(Bucket=bucket)
    s3.delete_public_access_block(Bucket=bucket)


def test_each_object_has_one_version(s3, bucket):
    keys = ["a/1", "a/2", "b 1", "c"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    versions = [version for page in pages for version in page["Versions"]]
    assert [version["Key"] for version in versions] == keys
    assert all(one["VersionId"] == "null" and one["IsLatest"] for one in versions)
    rolled = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    assert [one["Prefix"] for one in rolled["CommonPrefixes"]] == ["a/"]
    named = dict(Bucket=bucket, Key="c")
    assert s3.get_object(VersionId="null", **named)["Body"].read() == b"c"
    refused(lambda: s3.get_object(VersionId="other", **named), "NoSuchVersion", 404)
    s3.delete_object(VersionId="null", **named)
    refused(lambda: s3.head_object(**named), "404", 404)


def abort_rule(prefix="", days=1, **more):
    return {
        "ID": f"abort {prefix}",
        "Filter": {"Prefix": prefix},
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
        **more,
    }


def put_rules(s3, bucket, *rules):
    configuration = {"Rules": list(rules)}
    return s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration=configuration
    )


def rules_of(s3, bucket):
    return s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]


NONE = ("NoSuchLifecycleConfiguration", 404)


def test_rules_that_abort_uploads_are_kept(s3, bucket):
    bare = abort_rule("old")
    del bare["Filter"], bare["ID"]
    rules = [
        abort_rule("tmp/ "),
        abort_rule("a", 7, Status="Disabled"),
        {**abort_rule(), "Filter": {}},
        {**bare, "Prefix": "old/"},
    ]
    put_rules(s3, bucket, *rules)
    assert rules_of(s3, bucket) == rules
    put_rules(s3, bucket, rules[0])
    assert rules_of(s3, bucket) == rules[:1]
    s3.delete_bucket_lifecycle(Bucket=bucket)
    refused(lambda: rules_of(s3, bucket), *NONE)


REFUSED_RULES = {
    "Expiration": ({"Expiration": {"Days": 1}}, "NotImplemented", 501),
    "Transitions": (
        {"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]},
        "NotImplemented",
        501,
    ),
    "NoncurrentVersionExpiration": (
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        "NotImplemented",
        501,
    ),
    "tags": (
        {"Filter": {"Tag": {"Key": "a", "Value": "b"}}},
        "InvalidRequest",
        400,
    ),
    "sizes": ({"Filter": {"ObjectSizeGreaterThan": 1}}, "InvalidRequest", 400),
    "no days": (
        {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 0}},
        "InvalidArgument",
        400,
    ),
    "status": ({"Status": "On"}, "MalformedXML", 400),
    "two prefixes": ({"Prefix": "a"}, "MalformedXML", 400),
    "same ID": ({"ID": "abort kept"}, "InvalidArgument", 400),
}


@pytest.mark.parametrize("what", REFUSED_RULES)
def test_other_rules_are_refused_and_those_before_stay(s3, bucket, what):
    more, code, status = REFUSED_RULES[what]
    put_rules(s3, bucket, abort_rule("kept"))
    put = lambda: put_rules(s3, bucket, abort_rule("kept"), {**abort_rule("b"), **more})
    refused(put, code, status)
    assert rules_of(s3, bucket) == [abort_rule("kept")]


def test_a_bucket_takes_its_rules_with_it(s3, bucket):
    put_rules(s3, bucket, abort_rule())
    s3.delete_bucket(Bucket=bucket)
    refused(lambda: rules_of(s3, bucket), "NoSuchBucket", 404)
    s3.create_bucket(Bucket=bucket)
    refused(lambda: rules_of(s3, bucket), *NONE)


@pytest.mark.skipif("PARTSTORE_SERVER" not in os.environ, reason="no server to start")
def test_old_uploads_are_aborted_by_a_rule_and_others_stay():
    server = Server("--lifecycle-day", "1s")
    s3 = connect(server.s3)
    s3.create_bucket(Bucket="ruled")
    s3.create_bucket(Bucket="free")
    put_rules(
        s3,
        "ruled",
        abort_rule("tmp/"),
        abort_rule("off/", Status="Disabled"),
        abort_rule("late/", 1000),
    )
    server.kill()
    server.restart()
    named = [("ruled", "tmp/a"), ("ruled", "tmp/b"), ("ruled", "off/a")]
    named += [("ruled", "late/a"), ("ruled", "a"), ("free", "tmp/a")]
    for bucket, key in named:
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"1")

    def left():
        return [
            (bucket, upload["Key"])
            for bucket in ("ruled", "free")
            for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        ]

    assert ("ruled", "tmp/a") in left()
    ends = time.monotonic() + 20
    while len(left()) > 4 and time.monotonic() < ends:
        time.sleep(0.1)
    time.sleep(0.5)
    assert sorted(left()) == sorted(named[2:])
    server.stop()
