// The SDK of COS for mini programs, unchanged, on a platform that is made here.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { after, before, test } = require("node:test");

const { Server, SECRET_ID, SECRET_KEY } = require("./server.cjs");
const { platform } = require("./platform.cjs");

const MIB = 1 << 20;
const named = { Bucket: "examplebucket-1250000000", Region: "ap-beijing" };

const server = new Server();
let COS, cos;

function file(name, bytes) {
  const made = path.join(server.directory, name);
  fs.writeFileSync(made, bytes);
  return made;
}

before(async () => {
  await server.start();
  global.wx = platform(() => server.port);
  const { window } = global;
  global.window = global;
  COS = require("cos-wx-sdk-v5");
  global.window = window;
  cos = new COS({ SecretId: SECRET_ID, SecretKey: SECRET_KEY, Protocol: "http:" });
  await cos.putBucket(named);
});

after(async () => {
  assert.equal(await server.stop(), 0);
});

test("a file is posted as a form that the whole signature is in", async () => {
  const FilePath = file("small", "of a form");
  const Key = "dir/ü +%";
  await cos.postObject({ ...named, Key, FilePath, ContentType: "text/plain", "x-cos-meta-a": "b" });
  const head = await cos.headObject({ ...named, Key });
  assert.equal(head.headers["content-type"], "text/plain");
  assert.equal(head.headers["x-cos-meta-a"], "b");
  assert.equal((await cos.getObject({ ...named, Key })).Body, "of a form");
  // The SDK says this in a header of the form.
  const again = { ...named, Key, FilePath: file("other", "other"), ForbidOverwrite: "true" };
  await assert.rejects(() => cos.postObject(again), { statusCode: 409 });
  assert.equal((await cos.getObject({ ...named, Key })).Body, "of a form");
});

test("a large file is put in parts", async () => {
  const body = crypto.randomBytes(5 * MIB);
  const FilePath = file("large", body);
  const done = await cos.sliceUploadFile({ ...named, Key: "large", FilePath });
  assert.match(done.ETag, /-5"$/);
  const head = await cos.headObject({ ...named, Key: "large" });
  assert.equal(head.headers["content-length"], String(body.length));
});

test("a wrong key, a listing and a deletion", async () => {
  await cos.putObject({ ...named, Key: "listed", Body: "bytes" });
  const listed = await cos.getBucket({ ...named, Prefix: "list" });
  assert.deepEqual(listed.Contents.map(({ Key }) => Key), ["listed"]);
  await cos.deleteMultipleObject({ ...named, Objects: [{ Key: "listed" }] });
  await assert.rejects(() => cos.getObject({ ...named, Key: "listed" }), { statusCode: 404 });
  const wrong = new COS({ SecretId: SECRET_ID, SecretKey: "wrong", Protocol: "http:" });
  const FilePath = file("refused", "of a form");
  await assert.rejects(() => wrong.postObject({ ...named, Key: "refused", FilePath }), { statusCode: 403 });
  await assert.rejects(() => cos.headObject({ ...named, Key: "refused" }), { statusCode: 404 });
});
