"""Clients of COS that no registry has: cosfs, coscli and the SDK for Go. What they send is sent here, as their sources
have it, signed in their ways. The clients themselves are not tested."""

import base64
import hashlib
import hmac
import http.client
import re
import sys
import time
import xml.etree.ElementTree as xml
from pathlib import Path
from urllib.parse import quote

import pytest

sys.path.append(str(Path(__file__).parent.parent / "sdk"))

from server import APPID, MIB, SECRET_ID, SECRET_KEY, Server  # noqa: E402

BUCKET = f"mounted-{APPID}"
HOST = f"{BUCKET}.storage.example.com"


def encode(text):
    return quote(text, safe="-_.~")


def sign(method, path, params, headers, tail=""):
    """`tail` stands behind the list of headers."""

    def canonical(pairs):
        pairs = sorted((encode(name).lower(), encode(value)) for name, value in pairs.items())
        return ";".join(name for name, _ in pairs), "&".join(f"{name}={value}" for name, value in pairs)

    def mac(key, text):
        return hmac.new(key.encode(), text.encode(), hashlib.sha1).hexdigest()

    now = int(time.time()) - 10
    times = f"{now};{now + 3700}"
    (names, params), (listed, headers) = canonical(params), canonical(headers)
    request = hashlib.sha1(f"{method.lower()}\n{path}\n{params}\n{headers}\n".encode()).hexdigest()
    signature = mac(mac(SECRET_KEY, times), f"sha1\n{times}\n{request}\n")
    return (
        f"q-sign-algorithm=sha1&q-ak={SECRET_ID}&q-sign-time={times}&q-key-time={times}"
        f"&q-url-param-list={names}&q-header-list={listed}{tail}&q-signature={signature}"
    )


class Answer:
    def __init__(self, answer):
        self.status, self.body = answer.status, answer.read()
        # cosfs looks for these bytes.
        self.head = "".join(f"{name}: {value}\r\n" for name, value in answer.getheaders())
        self.headers = {name.lower(): value for name, value in answer.getheaders()}

    def all(self, name):
        return [found.text or "" for found in xml.fromstring(self.body).iter(name)]


class Client:
    def __init__(self, server):
        self.server = server

    def send(self, method, target, headers, body=b""):
        """Sends these headers, and only these: not even a length."""
        connection = http.client.HTTPConnection(self.server.address)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": HOST, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
        return Answer(connection.getresponse())


class Cosfs(Client):
    """It signs neither the host nor parameters, but all headers of COS."""

    def ask(self, method, path, query="", headers=None, body=None, length=True):
        headers = dict(headers or {})
        headers["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        signed = {name: value for name, value in headers.items() if name.startswith("x-cos-")}
        headers["Authorization"] = sign(method, path, {}, signed, tail=";" if signed else "")
        if body is not None and length:
            headers["Content-Length"] = str(len(body))
        return self.send(method, quote(path) + query, headers, body)


class Go(Client):
    """It signs the host, all parameters, and most headers."""

    def ask(self, method, path, params=None, headers=None, body=None):
        params, headers = dict(params or {}), {"Host": HOST, **(headers or {})}
        if body is not None:
            headers |= {"Content-Length": str(len(body))}
        authorization = sign(method, path, params, headers)
        query = "&".join(f"{encode(name)}={encode(value)}" for name, value in params.items())
        headers |= {"User-Agent": "cos-go-sdk-v5/0.7.33", "Accept-Encoding": "gzip"}
        target = quote(path) + (f"?{query}" if query else "")
        return self.send(method, target, {**headers, "Authorization": authorization}, body)


@pytest.fixture(scope="module")
def server():
    server = Server("--domain", "storage.example.com")
    server.client().create_bucket(Bucket=BUCKET)
    yield server
    server.remove()


def attributes(mode, **more):
    return {"x-cos-meta-mode": str(mode), "x-cos-meta-uid": "0", "x-cos-meta-gid": "0", "x-cos-meta-mtime": "1", **more}


def test_cosfs(server):
    cosfs = Cosfs(server)
    assert cosfs.ask("GET", "/").status == 200
    # A path that is looked up may be a file or one of several kinds of directories.
    for path in ("/dir", "/dir/", "/dir_$folder$"):
        assert cosfs.ask("HEAD", path).status == 404
    directory = attributes(16877, **{"Content-Type": "application/x-directory"})
    assert cosfs.ask("PUT", "/dir/", headers=directory, body=b"").status == 200
    file = attributes(33188, **{"Content-Type": "application/octet-stream"})
    assert cosfs.ask("PUT", "/dir/ü +%", headers=file, body=b"").status == 200
    assert cosfs.ask("PUT", "/dir/ü +%", headers=file, body=b"bytes").status == 200
    head = cosfs.ask("HEAD", "/dir/ü +%").headers
    assert (head["x-cos-meta-mode"], head["content-length"]) == ("33188", "5")

    # Parts of 10 MiB. The first request has no length.
    begun = cosfs.ask("POST", "/dir/large", "?uploads", {"Content-Type": "text/plain", **attributes(33188)})
    (upload,) = begun.all("UploadId")
    parts = [b"a" * 10 * MIB, b"b" * 10 * MIB, b"c"]
    lines = ""
    for number, part in enumerate(parts, 1):
        put = cosfs.ask("PUT", "/dir/large", f"?partNumber={number}&uploadId={upload}", body=part)
        etag = re.search(r'ETag: "([0-9a-f]{32})"', put.head).group(1)
        lines += f'<Part>\n  <PartNumber>{number}</PartNumber>\n  <ETag>"{etag}"</ETag>\n</Part>\n'
    document = f"<CompleteMultipartUpload>\n{lines}</CompleteMultipartUpload>\n".encode()
    kind = {"Content-Type": "text/plain"}
    assert cosfs.ask("POST", "/dir/large", f"?uploadId={upload}", kind, document).status == 200
    last = cosfs.ask("GET", "/dir/large", headers={"Range": f"bytes={20 * MIB - 1}-{20 * MIB}"})
    assert (last.status, last.body) == (206, b"bc")

    listed = cosfs.ask("GET", "/", "?delimiter=/&prefix=dir/&max-keys=1000")
    assert listed.all("Key") == ["dir/", "dir/large", "dir/ü +%"]
    assert cosfs.ask("GET", "/", "?delimiter=/&max-keys=1000").all("Prefix")[1:] == ["dir/"]
    # chmod copies the file to itself, with other attributes.
    changed = attributes(33152, **{"Content-Type": "text/plain", "x-cos-metadata-directive": "REPLACE"})
    changed["x-cos-copy-source"] = f"{HOST}/dir/large"
    assert cosfs.ask("PUT", "/dir/large", headers=changed, body=b"").status == 200
    head = cosfs.ask("HEAD", "/dir/large").headers
    assert (head["x-cos-meta-mode"], head["content-length"]) == ("33152", str(20 * MIB + 1))
    for path in ("/dir/ü +%", "/dir/large", "/dir/"):
        assert cosfs.ask("DELETE", path).status == 204
    # An attribute that is not as it was signed.
    authorization = sign("PUT", "/other", {}, attributes(33188))
    answer = cosfs.send("PUT", "/other", {**attributes(33279), "Authorization": authorization, "Content-Length": "0"})
    assert answer.status == 403


def test_the_sdk_for_go_and_coscli(server):
    go = Go(server)
    assert go.ask("HEAD", "/").status == 200
    assert go.ask("HEAD", "/absent", {"versionId": ""}).status == 404
    put = go.ask("PUT", "/go/a b", headers={"Content-Type": "text/plain", "x-cos-meta-a": "b"}, body=b"bytes")
    # It computes this while it sends, and compares.
    assert put.status == 200 and put.headers["x-cos-hash-crc64ecma"].isdecimal()
    head = go.ask("HEAD", "/go/a b", {"versionId": ""}).headers
    assert (head["x-cos-meta-a"], head["content-length"]) == ("b", "5")
    assert go.ask("GET", "/go/a b", {"versionId": ""}, {"Range": "bytes=1-3"}).body == b"yte"
    copied = go.ask("PUT", "/go/copy", headers={"x-cos-copy-source": f"{HOST}/go/a%20b?versionId="}, body=b"")
    assert copied.status == 200 and copied.all("ETag") == [put.headers["etag"]]

    (upload,) = go.ask("POST", "/go/large", {"uploads": ""}).all("UploadId")
    parts = [b"a" * MIB, b"b"]
    lines = ""
    for number, part in enumerate(parts, 1):
        params = {"partNumber": str(number), "uploadId": upload}
        etag = go.ask("PUT", "/go/large", params, body=part).headers["etag"]
        lines += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag.replace(chr(34), '&#34;')}</ETag></Part>"
    # An upload that was broken off is looked for by its key, and its parts are listed.
    assert go.ask("GET", "/", {"uploads": "", "prefix": "go/large", "encoding-type": "url"}).all("UploadId") == [upload]
    assert len(go.ask("GET", "/go/large", {"uploadId": upload, "encoding-type": "url"}).all("ETag")) == 2
    document = f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()
    done = go.ask("POST", "/go/large", {"uploadId": upload}, digest(document), document)
    assert done.status == 200 and done.all("Key") == ["go/large"]

    listed = go.ask("GET", "/", {"prefix": "go/", "delimiter": "/", "encoding-type": "url", "max-keys": "1000"})
    assert listed.all("Key") == ["go%2Fa%20b", "go%2Fcopy", "go%2Flarge"]
    keys = "".join(f"<Object><Key>go/{key}</Key><VersionId></VersionId></Object>" for key in ("a b", "copy", "large"))
    document = f"<Delete><Quiet>false</Quiet>{keys}</Delete>".encode()
    gone = go.ask("POST", "/", {"delete": ""}, digest(document), document)
    assert len(gone.all("Deleted")) == 3
    appended = go.ask("POST", "/go/log", {"append": "", "position": "0"}, body=b"line")
    assert appended.headers["x-cos-next-append-position"] == "4"
    assert go.ask("DELETE", "/go/log", {"versionId": ""}).status == 204
    assert go.ask("GET", "/", {"prefix": "go/"}).all("Key") == []


def digest(document):
    md5 = base64.b64encode(hashlib.md5(document).digest()).decode()
    return {"Content-MD5": md5, "Content-Type": "application/xml"}
