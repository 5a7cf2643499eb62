// The server, as the SDK of AWS for JavaScript speaks S3 to it: unchanged, with its own defaults.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { Readable } = require("node:stream");
const { after, before, test } = require("node:test");
const S3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");
const { Server } = require("./server.cjs");

const MIB = 1 << 20;
// The default run is short; CI sets 200.
const LARGE = Number(process.env.PARTSTORE_S3_LARGE_MIB ?? 24) * MIB;
const ODD_KEYS = ["a b", "a+b", "a%20b", "ü/ñ/日本", "a//b", "//a", "dir/", "'\"<&>", "x=1&y=2?#"];
const Bucket = "node";

const server = new Server();
let client;

function connect(secretAccessKey = "secret", options = {}) {
  return new S3.S3Client({
    ...options,
    endpoint: server.endpoint,
    region: "local",
    forcePathStyle: true,
    credentials: { accessKeyId: "id", secretAccessKey },
  });
}

before(async () => {
  await server.start();
  client = connect();
  await client.send(new S3.CreateBucketCommand({ Bucket }));
});

after(async () => {
  client.destroy();
  assert.equal(await server.stop(), 0);
});

function body(size, seed = 1) {
  return crypto.createHash("shake128", { outputLength: size }).update(Buffer.from([seed])).digest();
}

function put(Key, Body, options = {}) {
  return client.send(new S3.PutObjectCommand({ Bucket, Key, Body, ...options }));
}

function get(Key, options = {}) {
  return client.send(new S3.GetObjectCommand({ Bucket, Key, ...options }));
}

async function bytes(answer) {
  return Buffer.from(await answer.Body.transformToByteArray());
}

async function refused(call, code, status) {
  await assert.rejects(call, (error) => {
    assert.deepEqual([error.name, error.$metadata?.httpStatusCode], [code, status]);
    return true;
  });
}

for (const size of [0, 1, 1000, 300_000]) {
  test(`an object of ${size} bytes comes back`, async () => {
    const options = { ContentType: "text/x-test", Metadata: { color: "red" } };
    const stored = await put("object", body(size), options);
    const md5 = crypto.createHash("md5").update(body(size)).digest("hex");
    assert.equal(stored.ETag, `"${md5}"`);
    const got = await get("object");
    assert.deepEqual(await bytes(got), body(size));
    assert.equal(got.ContentType, "text/x-test");
    assert.deepEqual(got.Metadata, { color: "red" });
    assert.equal(got.ContentEncoding, undefined);
  });
}

test("a stream of unknown length goes in parts and comes back", async () => {
  const whole = body(LARGE);
  async function* pieces() {
    for (let at = 0; at < whole.length; at += 100_000) yield whole.subarray(at, at + 100_000);
  }
  const Body = Readable.from(pieces(), { objectMode: false });
  const upload = new Upload({ client, params: { Bucket, Key: "large", Body } });
  const done = await upload.done();
  assert.match(done.ETag, /-\d+"$/);
  assert.deepEqual(await bytes(await get("large")), whole);
});

test("an upload that is aborted leaves nothing", async () => {
  const Body = Readable.from([body(12 * MIB)], { objectMode: false });
  const upload = new Upload({ client, params: { Bucket, Key: "aborted", Body } });
  upload.on("httpUploadProgress", () => void upload.abort());
  await assert.rejects(upload.done(), { name: "AbortError" });
  const left = await client.send(new S3.ListMultipartUploadsCommand({ Bucket, Prefix: "aborted" }));
  for (const one of left.Uploads ?? []) {
    const named = { Bucket, Key: one.Key, UploadId: one.UploadId };
    await client.send(new S3.AbortMultipartUploadCommand(named));
    await refused(() => client.send(new S3.ListPartsCommand(named)), "NoSuchUpload", 404);
  }
  await refused(() => get("aborted"), "NoSuchKey", 404);
});

for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
  test(`a stream and an upload with ${ChecksumAlgorithm}`, async () => {
    const field = `Checksum${ChecksumAlgorithm}`;
    const one = Readable.from([body(70_000)], { objectMode: false });
    const stored = await put("sum", one, { ChecksumAlgorithm, ContentLength: 70_000 });
    const got = await get("sum", { ChecksumMode: "ENABLED" });
    assert.ok(stored[field]);
    assert.equal(got[field], stored[field]);
    assert.deepEqual(await bytes(got), body(70_000));
    const params = { Bucket, Key: "sums", Body: body(6 * MIB), ChecksumAlgorithm };
    const done = await new Upload({ client, params }).done();
    assert.ok(done[field]);
    assert.deepEqual(await bytes(await get("sums", { ChecksumMode: "ENABLED" })), body(6 * MIB));
  });
}

test("ranges, parts and copies", async () => {
  await put("a +ü", body(1000), { Metadata: { color: "red" } });
  const some = await get("a +ü", { Range: "bytes=10-19" });
  assert.equal(some.ContentRange, "bytes 10-19/1000");
  assert.deepEqual(await bytes(some), body(1000).subarray(10, 20));
  await refused(() => get("a +ü", { Range: "bytes=1000-" }), "InvalidRange", 416);
  const CopySource = `${Bucket}/${encodeURIComponent("a +ü")}`;
  await client.send(new S3.CopyObjectCommand({ Bucket, Key: "copy", CopySource }));
  const copy = await get("copy");
  assert.deepEqual(copy.Metadata, { color: "red" });
  assert.deepEqual(await bytes(copy), body(1000));
});

test("conditions", async () => {
  await put("once", "1", { IfNoneMatch: "*" });
  await refused(() => put("once", "2", { IfNoneMatch: "*" }), "PreconditionFailed", 412);
  const { ETag } = await get("once");
  await put("once", "2", { IfMatch: ETag });
  await refused(() => put("once", "3", { IfMatch: ETag }), "PreconditionFailed", 412);
});

test("odd keys", async () => {
  for (const key of ODD_KEYS) {
    await put(`odd/${key}`, key);
    assert.equal(await (await get(`odd/${key}`)).Body.transformToString(), key);
  }
  const listed = await client.send(new S3.ListObjectsV2Command({ Bucket, Prefix: "odd/" }));
  const keys = listed.Contents.map((one) => one.Key.slice(4));
  assert.deepEqual(new Set(keys), new Set(ODD_KEYS));
});

test("2,500 keys, listed and removed", async () => {
  const keys = Array.from({ length: 2500 }, (_, at) => `many/${at % 5}/${at}`);
  for (let at = 0; at < keys.length; at += 50) {
    await Promise.all(keys.slice(at, at + 50).map((key) => put(key, "")));
  }
  const found = [];
  for await (const page of S3.paginateListObjectsV2({ client }, { Bucket, Prefix: "many/" })) {
    found.push(...page.Contents.map((one) => one.Key));
  }
  assert.deepEqual(found, keys.toSorted());
  const rolled = { Bucket, Prefix: "many/", Delimiter: "/" };
  const { CommonPrefixes } = await client.send(new S3.ListObjectsV2Command(rolled));
  assert.equal(CommonPrefixes.length, 5);
  for (let at = 0; at < keys.length; at += 1000) {
    const Objects = keys.slice(at, at + 1000).map((Key) => ({ Key }));
    const gone = await client.send(new S3.DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    assert.equal(gone.Deleted.length, Objects.length);
  }
  const left = await client.send(new S3.ListObjectsV2Command({ Bucket, Prefix: "many/" }));
  assert.equal(left.KeyCount, 0);
});

test("presigned URLs", async () => {
  const named = { Bucket, Key: "presigned" };
  const url = await getSignedUrl(client, new S3.PutObjectCommand(named), { expiresIn: 60 });
  assert.equal((await fetch(url, { method: "PUT", body: "bytes" })).status, 200);
  // The SDK moves the headers of metadata into the query.
  const more = { ...named, Metadata: { color: "light red" }, StorageClass: "STANDARD_IA" };
  const told = await getSignedUrl(client, new S3.PutObjectCommand(more), { expiresIn: 60 });
  assert.equal((await fetch(told, { method: "PUT", body: "bytes" })).status, 200);
  const { Metadata, StorageClass } = await get(named.Key);
  assert.deepEqual([Metadata, StorageClass], [{ color: "light red" }, "STANDARD_IA"]);
  const open = new S3.PutObjectCommand({ ...named, ACL: "public-read" });
  const refusedUrl = await getSignedUrl(client, open, { expiresIn: 60 });
  assert.equal((await fetch(refusedUrl, { method: "PUT", body: "other" })).status, 400);
  const back = await getSignedUrl(client, new S3.GetObjectCommand(named), { expiresIn: 60 });
  assert.equal(await (await fetch(back)).text(), "bytes");
  assert.equal((await fetch(back.replace("presigned", "other"))).status, 403);
});

test("a wrong key and an absent object", async () => {
  const stranger = connect("wrong");
  const named = { Bucket, Key: "object" };
  await refused(() => stranger.send(new S3.GetObjectCommand(named)), "SignatureDoesNotMatch", 403);
  stranger.destroy();
  await refused(() => get("absent"), "NoSuchKey", 404);
});

test("an upload ends well over a kill of the server", async () => {
  const params = { Bucket, Key: "killed", Body: body(24 * MIB) };
  // The three attempts of the default take less time than a start of the server.
  const patient = connect("secret", { maxAttempts: 12 });
  const upload = new Upload({ client: patient, params, queueSize: 1 });
  let restarted;
  upload.on("httpUploadProgress", ({ part }) => {
    if (part === 1) restarted = server.kill().then(() => server.start());
  });
  await upload.done();
  await restarted;
  patient.destroy();
  assert.deepEqual(await bytes(await get("killed")), params.Body);
});
