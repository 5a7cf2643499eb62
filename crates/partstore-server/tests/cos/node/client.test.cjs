// The SDK of COS for Node, unchanged, against a server of its own.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { after, before, test } = require("node:test");

const { Server, SECRET_ID, SECRET_KEY } = require("./server.cjs");

const MIB = 1 << 20;
const LARGE = Number(process.env.PARTSTORE_COS_LARGE_MIB ?? 24) * MIB;
const Bucket = "examplebucket-1250000000";
const Region = "ap-beijing";
const named = { Bucket, Region };

const server = new Server();
let cos;

// As a new process has it: nothing of an earlier upload is in memory.
function sdk() {
  for (const name of Object.keys(require.cache)) {
    if (name.includes("cos-nodejs-sdk-v5")) delete require.cache[name];
  }
  return require("cos-nodejs-sdk-v5");
}

// `Ip` says where the host of the bucket is: in place of a name server. In `ConfCwd` the SDK keeps the ids of uploads.
function connect(options = {}) {
  return new (sdk())({
    SecretId: SECRET_ID,
    SecretKey: SECRET_KEY,
    Protocol: "http:",
    Ip: server.address,
    ConfCwd: path.join(server.directory, "sdk"),
    ...options,
  });
}

function file(name, bytes) {
  const made = path.join(server.directory, name);
  fs.writeFileSync(made, bytes);
  return made;
}

async function bytes(Key, more = {}) {
  return (await cos.getObject({ ...named, Key, ...more })).Body;
}

async function refused(call, code, status) {
  await assert.rejects(call, (error) => {
    assert.equal(error.statusCode, status, error);
    assert.equal(error.error?.Code ?? error.code, code, error);
    assert.ok(error.RequestId, error);
    return true;
  });
}

before(async () => {
  await server.start();
  cos = connect();
  await cos.putBucket(named);
});

after(async () => {
  assert.equal(await server.stop(), 0);
});

test("buckets", async () => {
  await refused(() => cos.putBucket(named), "BucketAlreadyOwnedByYou", 409);
  const head = await cos.headBucket(named);
  assert.equal(head.headers["x-cos-bucket-region"], Region);
  const { Buckets } = await cos.getService();
  assert.deepEqual(Buckets.map((bucket) => bucket.Name), [Bucket]);
  const other = { Bucket: "otherbucket-1250000000", Region };
  await cos.putBucket(other);
  await cos.deleteBucket(other);
  await refused(() => cos.getBucket(other), "NoSuchBucket", 404);
});

test("small, empty and large objects, their metadata and ranges", async () => {
  const Key = "dir/object";
  const put = await cos.putObject({
    ...named,
    Key,
    Body: "bytes",
    ContentType: "text/plain",
    CacheControl: "no-cache",
    "x-cos-meta-year": "1955",
  });
  assert.equal(put.ETag, `"${crypto.createHash("md5").update("bytes").digest("hex")}"`);
  const head = await cos.headObject({ ...named, Key });
  assert.equal(head.headers["content-type"], "text/plain");
  assert.equal(head.headers["cache-control"], "no-cache");
  assert.equal(head.headers["x-cos-meta-year"], "1955");
  assert.equal(String(await bytes(Key)), "bytes");
  assert.equal(String(await bytes(Key, { Range: "bytes=1-3" })), "yte");
  await cos.putObject({ ...named, Key: "empty", Body: "" });
  assert.equal((await bytes("empty")).length, 0);

  const body = crypto.randomBytes(LARGE);
  const from = file("large", body);
  const done = await cos.sliceUploadFile({ ...named, Key: "large", FilePath: from });
  assert.match(done.ETag, new RegExp(`-${LARGE / MIB}"$`));
  assert.ok(done.Location.startsWith(`${Bucket}.cos.${Region}.myqcloud.com/`), done.Location);
  const to = file("down", "");
  await cos.downloadFile({ ...named, Key: "large", FilePath: to, FileSize: LARGE, ChunkSize: 4 * MIB });
  assert.ok(fs.readFileSync(to).equals(body));
  fs.rmSync(from);
  fs.rmSync(to);
});

test("bytes are appended", async () => {
  const Key = "appended";
  const first = await cos.appendObject({ ...named, Key, Body: "one,", Position: 0 });
  const Position = Number(first.headers["x-cos-next-append-position"]);
  assert.equal(Position, 4);
  await cos.appendObject({ ...named, Key, Body: "two", Position });
  assert.equal(String(await bytes(Key)), "one,two");
  const again = { ...named, Key, Body: "two", Position };
  await refused(() => cos.appendObject(again), "AppendPositionErr", 409);
});

test("conditions", async () => {
  const Key = "conditions";
  const { ETag } = await cos.putObject({ ...named, Key, Body: "bytes" });
  await refused(() => cos.getObject({ ...named, Key, IfMatch: '"other"' }), "PreconditionFailed", 412);
  await assert.rejects(() => cos.getObject({ ...named, Key, IfNoneMatch: ETag }), { statusCode: 304 });
  const forbids = { ...named, Key, Body: "x", Headers: { "x-cos-forbid-overwrite": "true" } };
  await refused(() => cos.putObject(forbids), "FileAlreadyExists", 409);
});

test("copies, whole and in parts", async () => {
  const source = (key) => `${Bucket}.cos.${Region}.myqcloud.com/${encodeURIComponent(key)}`;
  const body = crypto.randomBytes(12 * MIB);
  const Key = "source of a copy";
  await cos.putObject({ ...named, Key, Body: body, "x-cos-meta-kept": "yes" });
  const copied = await cos.putObjectCopy({ ...named, Key: "copy", CopySource: source(Key) });
  assert.ok(copied.ETag);
  const head = await cos.headObject({ ...named, Key: "copy" });
  assert.equal(head.headers["x-cos-meta-kept"], "yes");
  // More than `CopySliceSize`, so in parts.
  await cos.sliceCopyFile({ ...named, Key: "sliced", CopySource: source(Key), CopySliceSize: MIB });
  assert.ok((await bytes("sliced")).equals(body));
  const absent = { ...named, Key: "copy", CopySource: source("absent") };
  await refused(() => cos.putObjectCopy(absent), "NoSuchCopySource", 404);
});

test("odd keys", async () => {
  const keys = ["a b", "a+b", "a%b", "a%2Fb", "日本語 ü", "a//b", "folder/", "~!*'()@&=$,;", "?#"];
  for (const Key of keys) await cos.putObject({ ...named, Key: `odd/${Key}`, Body: Key });
  for (const Key of keys) assert.equal(String(await bytes(`odd/${Key}`)), Key);
  for (const EncodingType of ["", "url"]) {
    const { Contents } = await cos.getBucket({ ...named, Prefix: "odd/", EncodingType });
    const found = Contents.map(({ Key }) => (EncodingType ? decodeURIComponent(Key) : Key));
    assert.deepEqual(found, keys.map((key) => `odd/${key}`).sort());
  }
});

test("2,500 keys are listed, rolled up and deleted", async () => {
  const keys = Array.from({ length: 2500 }, (_, at) => `many/${at % 5}/${String(at).padStart(4, "0")}`);
  const all = [...keys];
  const puts = Array.from({ length: 16 }, async () => {
    for (let Key = all.pop(); Key; Key = all.pop()) await cos.putObject({ ...named, Key, Body: Key });
  });
  await Promise.all(puts);
  const found = [];
  for (let Marker = "", more = true; more; ) {
    const page = await cos.getBucket({ ...named, Prefix: "many/", Marker });
    found.push(...page.Contents.map(({ Key }) => Key));
    more = page.IsTruncated === "true";
    Marker = page.NextMarker;
  }
  assert.deepEqual(found, keys.toSorted());
  const rolled = await cos.getBucket({ ...named, Prefix: "many/", Delimiter: "/" });
  assert.deepEqual(rolled.CommonPrefixes.map(({ Prefix }) => Prefix), [0, 1, 2, 3, 4].map((n) => `many/${n}/`));
  for (let at = 0; at < keys.length; at += 1000) {
    const Objects = keys.slice(at, at + 1000).map((Key) => ({ Key }));
    const gone = await cos.deleteMultipleObject({ ...named, Objects });
    assert.equal(gone.Deleted.length, Objects.length);
  }
  const left = await cos.getBucket({ ...named, Prefix: "many/" });
  assert.equal(left.Contents.length, 0);
});

test("presigned URLs", async () => {
  const presigned = (Method, Key) => cos.getObjectUrl({ ...named, Key, Method, Sign: true, Expires: 60 });
  // `fetch` does not let its users set Host.
  const ask = async (url, method, body = "") => {
    const { host, pathname, search } = new URL(url);
    const { request } = require("node:http");
    const options = { host: "127.0.0.1", port: server.port, method, path: pathname + search, headers: { host } };
    const answer = await new Promise((resolve, reject) => {
      request(options, resolve).on("error", reject).end(body);
    });
    let text = "";
    for await (const chunk of answer) text += chunk;
    return [answer.statusCode, text];
  };
  assert.equal((await ask(presigned("PUT", "presigned"), "PUT", "bytes"))[0], 200);
  assert.deepEqual(await ask(presigned("GET", "presigned"), "GET"), [200, "bytes"]);
  assert.equal((await ask(presigned("GET", "presigned").replace("presigned", "other"), "GET"))[0], 403);
});

test("wrong keys, and a clock that is wrong", async () => {
  const wrong = connect({ SecretKey: "wrong" });
  await refused(() => wrong.getObject({ ...named, Key: "object" }), "SignatureDoesNotMatch", 403);
  const stranger = connect({ SecretId: "stranger" });
  await refused(() => stranger.getObject({ ...named, Key: "object" }), "InvalidAccessKeyId", 403);
  await refused(() => cos.getObject({ ...named, Key: "absent" }), "NoSuchKey", 404);
  // The SDK corrects itself by the answer's code and date.
  for (const SystemClockOffset of [3_600_000, -7_200_000]) {
    const late = connect({ SystemClockOffset });
    await late.putObject({ ...named, Key: "late", Body: "bytes" });
    assert.ok(Math.abs(late.options.SystemClockOffset) < 60_000);
  }
});

test("the pages of other origins", async () => {
  // The SDK knows the code of the 404, and makes an empty list of it.
  assert.deepEqual((await cos.getBucketCors(named)).CORSRules, []);
  const rule = { AllowedOrigin: ["https://example.com"], AllowedMethod: ["GET", "PUT"], AllowedHeader: ["*"] };
  await cos.putBucketCors({ ...named, CORSRules: [rule] });
  const { CORSRules } = await cos.getBucketCors(named);
  assert.deepEqual(CORSRules[0].AllowedOrigins, ["https://example.com"]);
  await cos.deleteBucketCors(named);
});

test("configurations that the bucket does not have", async () => {
  const acl = await cos.getBucketAcl(named);
  assert.ok(acl.Owner.ID);
  assert.equal((await cos.getBucketVersioning(named)).VersioningConfiguration.Status ?? "", "");
  assert.equal((await cos.getBucketLocation(named)).LocationConstraint, Region);
  const versions = await cos.listObjectVersions({ ...named, Prefix: "dir/" });
  assert.deepEqual(versions.Versions.map(({ Key }) => Key), ["dir/object"]);
  assert.deepEqual((await cos.getObjectAcl({ ...named, Key: "dir/object" })).Owner.ID, acl.Owner.ID);
});

test("an upload is resumed after a kill -9 of the server", async () => {
  const body = crypto.randomBytes(24 * MIB);
  const FilePath = file("killed", body);
  const params = { ...named, Key: "killed", FilePath, ChunkSize: MIB };
  let killed;
  const first = connect({ ProgressInterval: 1 }).sliceUploadFile({
    ...params,
    onProgress({ loaded }) {
      if (loaded >= 8 * MIB) killed ??= server.kill();
    },
  });
  await assert.rejects(first);
  await killed;
  await server.start();
  const { Upload } = await cos.multipartList({ ...named, Prefix: "killed" });
  assert.equal(Upload.length, 1);
  const { UploadId } = Upload[0];
  const { Part } = await cos.multipartListPart({ ...named, Key: "killed", UploadId });
  assert.ok(Part.length >= 4, `${Part.length} parts`);
  const done = await connect().sliceUploadFile(params);
  assert.equal(done.UploadId, UploadId, "the SDK went on with its upload");
  assert.ok((await bytes("killed")).equals(body));
  assert.deepEqual((await cos.multipartList(named)).Upload, []);
  fs.rmSync(FilePath);
});
