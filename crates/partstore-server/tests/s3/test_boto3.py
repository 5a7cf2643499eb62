"""The server, as boto3 speaks S3 to it: unchanged, with its own defaults."""

import hashlib
import io
import json
import os
import urllib.request
import zlib
from base64 import b64encode

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

ADDRESS = os.environ["PARTSTORE_S3"]
MIB = 1 << 20
# The default run is short; CI sets 200.
LARGE = int(os.environ.get("PARTSTORE_S3_LARGE_MIB", "24")) * MIB
ODD_KEYS = [
    "a b",
    "a+b",
    "a%20b",
    "ü/ñ/日本",
    "a//b",
    "//a",
    "dir/",
    "a/../b",
    "'\"<&>",
    "x=1&y=2?#",
    ".",
    "k" * 1024,
    "a\r\nb\tc",
]


def connect(secret="secret", **config):
    return boto3.client(
        "s3",
        endpoint_url=f"http://{ADDRESS}",
        aws_access_key_id="id",
        aws_secret_access_key=secret,
        region_name="local",
        config=Config(s3={"addressing_style": "path"}, **config),
    )


@pytest.fixture(scope="session")
def s3():
    return connect()


@pytest.fixture
def bucket(s3, request):
    name = hashlib.md5(request.node.name.encode()).hexdigest()
    s3.create_bucket(Bucket=name)
    yield name
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for entry in page.get("Contents", []):
            s3.delete_object(Bucket=name, Key=entry["Key"])
    for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
        s3.abort_multipart_upload(
            Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"]
        )
    s3.delete_bucket(Bucket=name)


def refused(call, code, status):
    with pytest.raises(ClientError) as error:
        call()
    answer = error.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (
        code,
        status,
    )


def body(size, seed=1):
    return hashlib.shake_128(bytes([seed])).digest(size)


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_an_object_comes_back(s3, bucket, size):
    put = s3.put_object(
        Bucket=bucket,
        Key="key",
        Body=body(size),
        ContentType="text/x-test",
        CacheControl="no-cache",
        Metadata={"color": "red", "Mixed-Case": "kept"},
    )
    assert put["ETag"] == f'"{hashlib.md5(body(size)).hexdigest()}"'
    assert put["ChecksumCRC32"] == b64encode(
        zlib.crc32(body(size)).to_bytes(4, "big")
    ).decode()
    got = s3.get_object(Bucket=bucket, Key="key")
    assert got["Body"].read() == body(size)
    assert (got["ContentType"], got["CacheControl"]) == ("text/x-test", "no-cache")
    assert got["Metadata"] == {"color": "red", "mixed-case": "kept"}
    head = s3.head_object(Bucket=bucket, Key="key")
    assert (head["ContentLength"], head["ETag"]) == (size, put["ETag"])
    assert "ContentEncoding" not in head


def test_a_large_file_goes_in_parts_and_comes_back(s3, bucket, tmp_path):
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(body(LARGE))
    s3.upload_file(str(there), bucket, "large")
    assert s3.head_object(Bucket=bucket, Key="large")["ETag"].endswith('"')
    s3.download_file(bucket, "large", str(back))
    assert back.read_bytes() == there.read_bytes()


def test_parts_may_have_gaps_and_any_order(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    named = dict(Bucket=bucket, Key="key", UploadId=upload)
    etags = {}
    for number, size in ((7, 3), (2, 5 * MIB)):
        put = s3.upload_part(PartNumber=number, Body=body(size, number), **named)
        etags[number] = put["ETag"]
    listed = s3.list_parts(**named)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [
        (2, 5 * MIB),
        (7, 3),
    ]
    parts = [{"PartNumber": at, "ETag": etags[at]} for at in (2, 7)]
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **named)
    assert done["ETag"].endswith('-2"')
    again = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **named)
    assert again["ETag"] == done["ETag"]
    got = s3.get_object(Bucket=bucket, Key="key")
    assert got["Body"].read() == body(5 * MIB, 2) + body(3, 7)
    part = s3.get_object(Bucket=bucket, Key="key", PartNumber=2)
    assert (part["ContentLength"], part["PartsCount"]) == (
        5 * MIB,
        2,
    )


def test_what_a_completion_refuses(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    named = dict(Bucket=bucket, Key="key", UploadId=upload)
    one = s3.upload_part(PartNumber=1, Body=b"small", **named)["ETag"]
    two = s3.upload_part(PartNumber=2, Body=b"small", **named)["ETag"]

    def complete(*parts):
        listed = [{"PartNumber": at, "ETag": etag} for at, etag in parts]
        return lambda: s3.complete_multipart_upload(
            MultipartUpload={"Parts": listed}, **named
        )

    refused(complete((1, one), (2, two)), "EntityTooSmall", 400)
    refused(complete((2, two), (1, one)), "InvalidPartOrder", 400)
    refused(complete((1, two[:-2] + '0"')), "InvalidPart", 400)
    refused(complete((3, one)), "InvalidPart", 400)
    s3.abort_multipart_upload(**named)
    refused(complete((1, one)), "NoSuchUpload", 404)
    refused(lambda: s3.list_parts(**named), "NoSuchUpload", 404)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_of_every_kind(s3, bucket, algorithm):
    if algorithm in ("CRC32C", "CRC64NVME"):
        pytest.importorskip("awscrt")
    field = f"Checksum{algorithm}"
    put = s3.put_object(
        Bucket=bucket, Key="one", Body=io.BytesIO(body(99)), ChecksumAlgorithm=algorithm
    )
    got = s3.get_object(Bucket=bucket, Key="one", ChecksumMode="ENABLED")
    assert got["Body"].read() == body(99)
    assert got[field] == put[field]
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="many", ChecksumAlgorithm=algorithm
    )
    named = dict(Bucket=bucket, Key="many", UploadId=upload["UploadId"])
    parts = []
    for number in (1, 2):
        part = s3.upload_part(
            PartNumber=number,
            Body=body(5 * MIB, number),
            ChecksumAlgorithm=algorithm,
            **named,
        )
        parts.append(
            {"PartNumber": number, "ETag": part["ETag"], field: part[field]}
        )
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **named)
    composite = algorithm != "CRC64NVME"
    assert done["ChecksumType"] == ("COMPOSITE" if composite else "FULL_OBJECT")
    assert done[field].endswith("-2") == composite
    told = s3.get_object_attributes(
        Bucket=bucket,
        Key="many",
        ObjectAttributes=["ETag", "Checksum", "ObjectParts", "ObjectSize"],
    )
    assert told["ObjectSize"] == 10 * MIB
    assert told["ObjectParts"]["TotalPartsCount"] == 2
    assert told["ObjectParts"]["Parts"][1][field] == parts[1][field]


def test_a_checksum_of_the_whole_object_is_checked_at_the_end(s3, bucket):
    whole = body(5 * MIB) + b"end"
    right = b64encode(zlib.crc32(whole).to_bytes(4, "big")).decode()
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="key", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )
    named = dict(Bucket=bucket, Key="key", UploadId=upload["UploadId"])
    parts = []
    for number, piece in ((1, whole[: 5 * MIB]), (2, b"end")):
        part = s3.upload_part(PartNumber=number, Body=piece, **named)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    complete = lambda checksum, **more: s3.complete_multipart_upload(
        MultipartUpload={"Parts": parts},
        ChecksumCRC32=checksum,
        ChecksumType="FULL_OBJECT",
        **named,
        **more,
    )
    refused(lambda: complete("AAAAAA=="), "BadDigest", 400)
    refused(lambda: complete(right, MpuObjectSize=3), "InvalidRequest", 400)
    s3.put_object(Bucket=bucket, Key="key", Body=b"before")
    failed = ("PreconditionFailed", 412)
    refused(lambda: complete(right, IfNoneMatch="*"), *failed)
    refused(lambda: complete(right, IfMatch='"0"'), *failed)
    done = complete(right, MpuObjectSize=len(whole))
    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (right, "FULL_OBJECT")
    got = s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert got["Body"].read() == whole and got["ChecksumCRC32"] == right


def test_a_wrong_checksum_stores_nothing(s3, bucket):
    wrong = b64encode(bytes(4)).decode()
    put = dict(Bucket=bucket, Key="key", Body=b"bytes", ChecksumCRC32=wrong)
    refused(lambda: s3.put_object(**put), "BadDigest", 400)
    md5 = b64encode(bytes(16)).decode()
    put = dict(Bucket=bucket, Key="key", Body=b"bytes", ContentMD5=md5)
    refused(lambda: s3.put_object(**put), "BadDigest", 400)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_ranges(s3, bucket):
    s3.put_object(Bucket=bucket, Key="key", Body=body(1000))
    for asked, (first, end) in {
        "bytes=0-0": (0, 1),
        "bytes=10-19": (10, 20),
        "bytes=990-": (990, 1000),
        "bytes=-5": (995, 1000),
        "bytes=900-5000": (900, 1000),
    }.items():
        got = s3.get_object(Bucket=bucket, Key="key", Range=asked)
        assert got["Body"].read() == body(1000)[first:end]
        assert got["ContentRange"] == f"bytes {first}-{end - 1}/1000"
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    beyond = dict(Bucket=bucket, Key="key", Range="bytes=1000-")
    refused(lambda: s3.get_object(**beyond), "InvalidRange", 416)


def test_a_range_that_means_nothing_is_passed_over(s3, bucket):
    s3.put_object(Bucket=bucket, Key="key", Body=body(1000))
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "key"})
    for asked, (status, start) in {
        "bytes=0-9,20-29": (200, 0),
        "lines=0-9": (200, 0),
        "bytes=9-5": (200, 0),
        "bytes=10-99999999999999999999": (206, 10),
    }.items():
        got = urllib.request.urlopen(urllib.request.Request(url, headers={"Range": asked}))
        assert (got.status, got.read()) == (status, body(1000)[start:])


def test_an_object_that_is_xml_stays_as_it_is(s3, bucket):
    text = b"<a>\r\n\x01</a>"
    put = dict(Bucket=bucket, Key="key", Body=text, ContentType="application/xml")
    s3.put_object(**put)
    got = s3.get_object(Bucket=bucket, Key="key")
    assert (got["ContentType"], got["Body"].read()) == ("application/xml", text)
    part = s3.get_object(Bucket=bucket, Key="key", Range="bytes=3-5")
    assert part["Body"].read() == text[3:6]


def test_headers_that_an_answer_has_instead(s3, bucket):
    s3.put_object(Bucket=bucket, Key="key", Body=b"bytes", ContentType="a/b")
    instead = dict(
        ResponseContentType="c/d",
        ResponseContentDisposition="attachment",
        ResponseExpires="Thu, 01 Jan 2032 00:00:00 GMT",
    )
    for call in (s3.get_object, s3.head_object):
        got = call(Bucket=bucket, Key="key", **instead)
        assert (got["ContentType"], got["ContentDisposition"]) == ("c/d", "attachment")
        assert got["ExpiresString"] == instead["ResponseExpires"]
        assert got["ContentLength"] == 5


def test_copies(s3, bucket):
    s3.put_object(
        Bucket=bucket, Key="a +ü", Body=body(1000), Metadata={"color": "red"}
    )
    source = {"Bucket": bucket, "Key": "a +ü"}
    copied = s3.copy_object(Bucket=bucket, Key="b", CopySource=source)
    assert copied["CopyObjectResult"]["ETag"].strip('"') == hashlib.md5(
        body(1000)
    ).hexdigest()
    assert s3.head_object(Bucket=bucket, Key="b")["Metadata"] == {"color": "red"}
    s3.copy_object(
        Bucket=bucket,
        Key="b",
        CopySource={"Bucket": bucket, "Key": "b"},
        MetadataDirective="REPLACE",
        Metadata={"color": "blue"},
    )
    assert s3.head_object(Bucket=bucket, Key="b")["Metadata"] == {"color": "blue"}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="c")["UploadId"]
    named = dict(Bucket=bucket, Key="c", UploadId=upload)
    part = s3.upload_part_copy(
        PartNumber=1, CopySource=source, CopySourceRange="bytes=10-19", **named
    )["CopyPartResult"]
    listed = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(MultipartUpload={"Parts": listed}, **named)
    assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == body(1000)[10:20]
    onto = dict(Bucket=bucket, Key="b", CopySource=source)
    failed = ("PreconditionFailed", 412)
    refused(lambda: s3.copy_object(IfNoneMatch="*", **onto), *failed)
    refused(lambda: s3.copy_object(IfMatch='"0"', **onto), *failed)
    refused(lambda: s3.copy_object(CopySourceIfMatch='"0"', **onto), *failed)
    s3.copy_object(IfMatch=copied["CopyObjectResult"]["ETag"], **onto)
    missing = dict(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "no"})
    refused(lambda: s3.copy_object(**missing), "NoSuchKey", 404)


def test_a_copy_has_the_checksum_that_it_asks_for(s3, bucket):
    put = dict(Bucket=bucket, Key="a", Body=body(1000), ContentType="a/b")
    s3.put_object(ChecksumAlgorithm="CRC32", **put)
    source = dict(CopySource={"Bucket": bucket, "Key": "a"})
    right = b64encode(hashlib.sha256(body(1000)).digest()).decode()
    for target in ("b", "a"):
        named = dict(Bucket=bucket, Key=target)
        asked = dict(ChecksumAlgorithm="SHA256", MetadataDirective="REPLACE", **source)
        if target == "b":
            del asked["MetadataDirective"]
        copied = s3.copy_object(**asked, **named)["CopyObjectResult"]
        assert copied["ChecksumSHA256"] == right
        assert copied["ETag"].strip('"') == hashlib.md5(body(1000)).hexdigest()
        got = s3.get_object(ChecksumMode="ENABLED", **named)
        assert got["Body"].read() == body(1000) and got["ChecksumSHA256"] == right
        assert (got["ContentType"] == "a/b") == (target == "b")
    # Bytes that have it are not read.
    copied = s3.copy_object(ChecksumAlgorithm="SHA256", Bucket=bucket, Key="c", **source)
    assert copied["CopyObjectResult"]["ChecksumSHA256"] == right


def test_what_a_request_says_of_bucket_class_and_time_is_checked(s3, bucket):
    s3.put_object(Bucket=bucket, Key="key", Body=b"1")
    named = dict(Bucket=bucket, Key="key")
    owner = s3.list_buckets()["Owner"]["ID"]
    s3.get_object(ExpectedBucketOwner=owner, **named)
    other = dict(ExpectedBucketOwner="111122223333", **named)
    for call in (s3.get_object, s3.put_object, s3.delete_object):
        refused(lambda: call(**other), "AccessDenied", 403)
    wrong = dict(StorageClass="COLD", **named)
    refused(lambda: s3.put_object(**wrong), "InvalidStorageClass", 400)
    assert s3.get_object(**named)["Body"].read() == b"1"
    presigned = lambda seconds: s3.generate_presigned_url(
        "get_object", Params=named, ExpiresIn=seconds
    )
    assert urllib.request.urlopen(presigned(604_800)).read() == b"1"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(presigned(604_801))
    assert error.value.code == 400
    assert b"AuthorizationQueryParametersError" in error.value.read()


def test_a_listing_of_2500_keys_with_prefix_and_delimiter(s3, bucket):
    keys = [f"{at % 5}/{at:04}" for at in range(2500)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        found += [entry["Key"] for entry in page["Contents"]]
    assert found == sorted(keys)
    rolled = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [one["Prefix"] for one in rolled["CommonPrefixes"]] == [
        f"{at}/" for at in range(5)
    ]
    one = s3.get_paginator("list_objects").paginate(Bucket=bucket, Prefix="3/")
    assert sum(len(page["Contents"]) for page in one) == 500
    few = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (few["KeyCount"], few["IsTruncated"]) == (0, False)
    for start in range(0, 2500, 1000):
        batch = [{"Key": key} for key in keys[start : start + 1000]]
        gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch})
        assert len(gone["Deleted"]) == len(batch) and "Errors" not in gone
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_odd_keys(s3, bucket):
    for key in ODD_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == sorted(
        ODD_KEYS, key=lambda key: key.encode()
    )
    for key in ODD_KEYS:
        named = dict(Bucket=bucket, Key=key)
        begun = s3.create_multipart_upload(**named)
        named["UploadId"] = begun["UploadId"]
        assert begun["Key"] == key and s3.list_parts(**named)["Key"] == key
        s3.abort_multipart_upload(**named)
    batch = {"Objects": [{"Key": key} for key in ODD_KEYS]}
    gone = s3.delete_objects(Bucket=bucket, Delete=batch)["Deleted"]
    assert sorted(one["Key"] for one in gone) == sorted(ODD_KEYS)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    long = dict(Bucket=bucket, Key="k" * 1025, Body=b"")
    refused(lambda: s3.put_object(**long), "KeyTooLongError", 400)


def test_conditions(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="key", Body=b"1", IfNoneMatch="*")
    again = dict(Bucket=bucket, Key="key", Body=b"2")
    refused(
        lambda: s3.put_object(IfNoneMatch="*", **again), "PreconditionFailed", 412
    )
    second = s3.put_object(IfMatch=first["ETag"], **again)
    refused(
        lambda: s3.put_object(IfMatch=first["ETag"], **again), "PreconditionFailed", 412
    )
    named = dict(Bucket=bucket, Key="key")
    assert s3.get_object(IfMatch=second["ETag"], **named)["Body"].read() == b"2"
    refused(
        lambda: s3.get_object(IfMatch=first["ETag"], **named), "PreconditionFailed", 412
    )
    refused(lambda: s3.get_object(IfNoneMatch=second["ETag"], **named), "304", 304)
    modified = s3.head_object(**named)["LastModified"]
    refused(lambda: s3.get_object(IfModifiedSince=modified, **named), "304", 304)


def test_conditions_of_removals(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="key", Body=b"1")["ETag"]
    named = dict(Bucket=bucket, Key="key")
    delete = lambda **more: s3.delete_object(**named, **more)
    refused(lambda: delete(IfMatch='"0"'), "PreconditionFailed", 412)
    refused(lambda: delete(IfMatchSize=2), "NotImplemented", 501)
    wishes = [{"ETag": '"0"'}, {"Size": 2}, {"VersionId": "other"}]
    batch = [{"Key": "key", **wish} for wish in wishes]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch})
    codes = [error["Code"] for error in answer["Errors"]]
    assert codes == ["PreconditionFailed", "NotImplemented", "NoSuchVersion"]
    assert s3.get_object(**named)["Body"].read() == b"1"
    delete(IfMatch=etag)
    refused(lambda: s3.head_object(**named), "404", 404)


def test_presigned(s3, bucket):
    named = {"Bucket": bucket, "Key": "key"}
    put = s3.generate_presigned_url("put_object", named)
    request = urllib.request.Request(put, data=b"bytes", method="PUT")
    assert urllib.request.urlopen(request).status == 200
    get = s3.generate_presigned_url("get_object", named)
    assert urllib.request.urlopen(get).read() == b"bytes"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(get[:-1] + ("0" if get[-1] != "0" else "1"))
    assert error.value.code == 403


def test_buckets(s3, bucket):
    assert bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=bucket)
    refused(lambda: s3.create_bucket(Bucket=bucket), "BucketAlreadyOwnedByYou", 409)
    refused(lambda: s3.head_bucket(Bucket="not-there"), "404", 404)
    refused(lambda: s3.list_objects_v2(Bucket="not-there"), "NoSuchBucket", 404)
    refused(
        lambda: s3.put_object(Bucket="not-there", Key="k", Body=b""),
        "NoSuchBucket",
        404,
    )
    s3.put_object(Bucket=bucket, Key="key", Body=b"")
    refused(lambda: s3.delete_bucket(Bucket=bucket), "BucketNotEmpty", 409)
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == "local"


def test_who_has_no_key_gets_nothing(s3, bucket):
    wrong = connect(secret="wrong")
    refused(lambda: wrong.list_buckets(), "SignatureDoesNotMatch", 403)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"http://{ADDRESS}/{bucket}")
    assert error.value.code == 403


def test_a_part_is_retried_by_the_transfer_manager(s3, bucket, tmp_path):
    there = tmp_path / "there"
    there.write_bytes(body(13 * MIB))
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    s3.upload_file(str(there), bucket, "key", Config=config)
    told = s3.head_object(Bucket=bucket, Key="key")
    assert told["ETag"].endswith('-3"') and told["ContentLength"] == 13 * MIB


def test_pages_of_other_origins(s3, bucket):
    refused(lambda: s3.get_bucket_cors(Bucket=bucket), "NoSuchCORSConfiguration", 404)
    rule = {
        "AllowedOrigins": ["https://page.example"],
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 60,
    }

    def preflight(origin):
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "content-type",
        }
        url = f"http://{ADDRESS}/{bucket}/key"
        request = urllib.request.Request(url, headers=headers, method="OPTIONS")
        try:
            return urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            return error

    assert preflight("https://page.example").status == 403
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == [rule]
    allowed = preflight("https://page.example")
    assert allowed.status == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert preflight("https://other.example").status == 403
    put = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "key"})
    headers = {"Origin": "https://page.example"}
    request = urllib.request.Request(put, data=b"", headers=headers, method="PUT")
    answer = urllib.request.urlopen(request)
    assert answer.headers["Access-Control-Expose-Headers"] == "ETag"
    s3.delete_bucket_cors(Bucket=bucket)
    assert preflight("https://page.example").status == 403
