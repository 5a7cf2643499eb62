"""Bad requests: a protocol error, nothing stored, and a server that goes on."""

import os
import socket
import urllib.error
import urllib.request
from urllib.parse import parse_qsl, urlencode, urlsplit

import boto3
import pytest
from botocore.auth import HmacV1Auth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ADDRESS = os.environ["PARTSTORE_S3"]
HOST, PORT = ADDRESS.rsplit(":", 1)
BUCKET = "bad-input"


@pytest.fixture(scope="module")
def s3():
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{ADDRESS}",
        aws_access_key_id="id",
        aws_secret_access_key="secret",
        region_name="local",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    assert client.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    client.delete_bucket(Bucket=BUCKET)


def presigned(s3, verb="put_object", **named):
    return s3.generate_presigned_url(verb, {"Bucket": BUCKET, **named})


def send(request, shut=True):
    """Sends raw bytes, and gives what comes back until the server has no more to say."""
    with socket.create_connection((HOST, int(PORT)), timeout=60) as connection:
        try:
            connection.sendall(request)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            return b""
        return answer


def raw(method, url, body=b"", headers=()):
    parts = urlsplit(url)
    lines = [f"{method} {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer else None


def call(method, url, data=None):
    request = urllib.request.Request(url, data=data, method=method)
    try:
        return urllib.request.urlopen(request, timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_request_that_is_cut_at_any_byte_stores_nothing(s3):
    whole = raw("PUT", presigned(s3, Key="cut"), b"0123456789")
    for end in range(len(whole)):
        answer = send(whole[:end])
        assert status(answer) in (None, 400, 403, 408, 411), answer
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert status(send(whole)) == 200
    s3.delete_object(Bucket=BUCKET, Key="cut")


def test_a_chunked_body_that_is_cut_stores_nothing(s3):
    url = presigned(s3, Key="cut")
    head = raw("PUT", url, headers=["Transfer-Encoding: chunked"])
    head = head.replace(b"Content-Length: 0\r\n", b"")
    for body in (b"", b"5", b"5\r\n", b"5\r\n0123", b"5\r\n01234\r\n", b"x\r\n", b"-1\r\n"):
        assert status(send(head + body)) in (None, 400, 411, 501)
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_a_signature_that_is_wrong_in_any_field_is_refused(s3):
    url = presigned(s3, "get_object", Key="key")
    parts = urlsplit(url)
    fields = parse_qsl(parts.query)
    assert call("GET", url) == 404
    for at, (name, value) in enumerate(fields):
        if name == "x-id":
            continue
        other = value[:-1] + ("1" if value[-1] != "1" else "2")
        changed = [*fields[:at], (name, other), *fields[at + 1 :]]
        # Another algorithm is one that is not there.
        refusals = (400, 403, 501) if name == "X-Amz-Algorithm" else (400, 403)
        answer = call("GET", parts._replace(query=urlencode(changed)).geturl())
        assert answer in refusals, name
    other = parts._replace(path=parts.path + "s").geturl()
    assert call("GET", other) == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete>",
        b"no xml",
        b"<Delete></Delete>" * 2,
        b"<Other/>",
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(
            b'<!ENTITY %c "%s">' % (98 + at, b"&%c;" % (97 + at) * 10) for at in range(8)
        )
        + b"]><Delete><Object><Key>&i;</Key></Object></Delete>",
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        b"<Delete><Object><Key>&f;</Key></Object></Delete>",
        b"<Delete>" * 100_000,
        b"<Delete><Object><Key>" + b"k" * 3_000_000,
    ],
    ids=["empty", "open", "text", "twice", "other", "bomb", "file", "deep", "long"],
)
def test_xml_that_is_none_is_refused(s3, body):
    request = AWSRequest("POST", f"http://{ADDRESS}/{BUCKET}?delete=")
    S3SigV4QueryAuth(Credentials("id", "secret"), "s3", "local").add_auth(request)
    url = request.prepare().url
    good = b"<Delete><Object><Key>key</Key></Object></Delete>"
    assert status(send(raw("POST", url, good))) == 200
    answer = send(raw("POST", url, body))
    assert status(answer) == 400, answer[:300]
    assert b"root:" not in answer


def test_floods_of_headers_are_refused(s3):
    url = presigned(s3, Key="key")
    for headers in ([f"x-a-{at}: b" for at in range(10_000)], ["x-a: " + "b" * 2_000_000]):
        assert status(send(raw("PUT", url, b"", headers))) in (None, 400, 403, 431)
    assert call("GET", f"http://{ADDRESS}/{BUCKET}/{'k' * 300_000}") in (400, 403, 414, 431)


@pytest.mark.parametrize("key", ["%00", "a%00b", "k" * 1025, "%ff"])
def test_keys_that_are_none_are_refused(s3, key):
    url = presigned(s3, Key="key").replace("/key?", f"/{key}?")
    assert call("PUT", url, b"") in (400, 403)
    if key != "%ff":
        with pytest.raises(Exception):
            s3.put_object(Bucket=BUCKET, Key=urllib.parse.unquote(key), Body=b"")


def test_numbers_that_are_none_are_refused(s3):
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="key")["UploadId"]
    for number in (0, 10_001, -1, 2**31 - 1):
        with pytest.raises(s3.exceptions.ClientError) as error:
            s3.upload_part(
                Bucket=BUCKET, Key="key", UploadId=upload, PartNumber=number, Body=b""
            )
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(s3.exceptions.ClientError) as error:
        s3.upload_part(Bucket=BUCKET, Key="key", UploadId="no", PartNumber=1, Body=b"")
    assert error.value.response["Error"]["Code"] == "NoSuchUpload"
    s3.abort_multipart_upload(Bucket=BUCKET, Key="key", UploadId=upload)


def test_a_write_with_an_unknown_parameter_changes_nothing(s3):
    bucket = f"{BUCKET}-parameters"
    s3.create_bucket(Bucket=bucket)

    def refused(method, path, code=400):
        url = f"http://{ADDRESS}/{bucket}{path}"
        request = AWSRequest(method=method, url=url, data=b"")
        S3SigV4QueryAuth(Credentials("id", "secret"), "s3", "local").add_auth(request)
        wanted = urllib.request.Request(request.url, data=b"", method=method)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(wanted)
        assert error.value.code == code, (method, path)

    for method in ("DELETE", "POST"):
        for query in ("versioning", "acl", "unknown", "logging=", "id=1"):
            refused(method, f"?{query}")
    refused("PUT", "-2?unknown=1")
    s3.put_object(Bucket=bucket, Key="key", Body=b"bytes")
    for method in ("PUT", "DELETE", "POST"):
        for query in ("append&position=0", "renameObject", "%61ppend", "policy"):
            refused(method, f"/key?{query}")
    for query in ("partNumber=1", "uploadId=1", "versionId=1", "versionId=null"):
        refused("PUT", f"/key?{query}")
    refused("PATCH", "/key", 405)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"bytes"
    s3.delete_object(Bucket=bucket, Key="key")
    s3.delete_bucket(Bucket=bucket)


def test_a_body_other_than_the_signed_one_is_refused(s3):
    url = f"http://{ADDRESS}/{BUCKET}/key"
    request = AWSRequest(method="PUT", url=url, data=b"bytes")
    S3SigV4Auth(Credentials("id", "secret"), "s3", "local").add_auth(request)
    headers = dict(request.prepare().headers)
    del headers["Content-Length"]
    other = urllib.request.Request(url, data=b"bytEs", headers=headers, method="PUT")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(other)
    assert error.value.code == 400
    assert b"<Code>XAmzContentSHA256Mismatch</Code>" in error.value.read()


def test_a_signature_of_version_2_does_not_live_for_ever(s3):
    class Old(HmacV1Auth):
        def _get_date(self):
            return "Thu, 01 Jan 2015 00:00:00 GMT"

    def status(signer):
        request = AWSRequest("GET", f"http://{ADDRESS}/{BUCKET}")
        signer(Credentials("id", "secret")).add_auth(request)
        signed = urllib.request.Request(request.url, headers=dict(request.headers))
        try:
            return urllib.request.urlopen(signed).status
        except urllib.error.HTTPError as refused:
            return refused.status, b"RequestTimeTooSkewed" in refused.read()

    assert status(HmacV1Auth) == 200
    assert status(Old) == (403, True)


@pytest.mark.parametrize("name", ["A_b", "ab", "a..b", "192.168.1.1", "-ab", "a" * 64])
def test_a_bucket_that_no_copy_could_name_is_not_made(s3, name):
    request = AWSRequest("PUT", f"http://{ADDRESS}/{name}", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    S3SigV4Auth(Credentials("id", "secret"), "s3", "local").add_auth(request)
    signed = urllib.request.Request(request.url, method="PUT", headers=dict(request.headers))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(signed)
    assert refused.value.status == 400
    assert b"InvalidBucketName" in refused.value.read()
