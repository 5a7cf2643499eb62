// The SDK of COS for browsers, unchanged, in a headless Chromium: its page is of another origin than the server.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const { after, before, test } = require("node:test");

const { chromium } = require("playwright-core");

const { Server, SECRET_ID, SECRET_KEY } = require("./server.cjs");

const MIB = 1 << 20;
const DOMAIN = "storage.example.com";
const Bucket = "examplebucket-1250000000";
const Region = "ap-beijing";
const SDK = fs.readFileSync(require.resolve("cos-js-sdk-v5/dist/cos-js-sdk-v5.min.js"));
const HEAD = "<!doctype html><meta charset=utf-8><title>page</title><script src=/sdk.js></script>";

let server, pages, browser, page;

// Serves the page and the SDK. It is one server of two origins: 127.0.0.1 may use all buckets, localhost what they say.
function serve() {
  const answer = (request, response) => {
    const script = request.url === "/sdk.js";
    response.setHeader("Content-Type", script ? "text/javascript" : "text/html");
    response.end(script ? SDK : HEAD);
  };
  return new Promise((resolve) => {
    const listening = http.createServer(answer).listen(0, "127.0.0.1", () => resolve(listening));
  });
}

const origin = (host) => `http://${host}:${pages.address().port}`;

// A page of an origin, with a client of the SDK in it as `cos`.
async function open(host, secret = SECRET_KEY) {
  const opened = await browser.newPage();
  await opened.goto(origin(host));
  const options = {
    SecretId: SECRET_ID,
    SecretKey: secret,
    Protocol: "http:",
    Domain: `{Bucket}.${DOMAIN}:${server.port}`,
    ServiceDomain: `http://${DOMAIN}:${server.port}`,
  };
  await opened.evaluate(
    ([options, named]) => {
      window.cos = new COS(options);
      window.named = named;
      // Always the same bytes.
      window.body = (length) => {
        const bytes = new Uint32Array(length / 4);
        for (let at = 0, word = 1; at < bytes.length; at++) {
          word ^= word << 13;
          word ^= word >>> 17;
          word ^= word << 5;
          bytes[at] = word;
        }
        return new File([bytes], "file", { lastModified: 0 });
      };
      // Errors of the SDK are no errors of the language.
      window.code = async (call) => {
        try {
          await call();
          return "done";
        } catch (error) {
          return error.error?.Code ?? error.message;
        }
      };
    },
    [options, { Bucket, Region }],
  );
  return opened;
}

before(async () => {
  pages = await serve();
  server = new Server("--domain", DOMAIN, "--cors-origin", origin("127.0.0.1"));
  await server.start();
  browser = await chromium.launch({
    executablePath: process.env.PARTSTORE_CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      // In place of a name server.
      `--host-resolver-rules=MAP *.${DOMAIN} 127.0.0.1, MAP ${DOMAIN} 127.0.0.1`,
    ],
  });
  page = await open("127.0.0.1");
  await page.evaluate(() => cos.putBucket(named));
});

after(async () => {
  await browser?.close();
  pages.close();
  assert.equal(await server.stop(), 0);
});

test("objects are put, read, ranged, described and copied", async () => {
  const seen = await page.evaluate(async () => {
    const Key = "dir/ü +%";
    const put = await cos.putObject({ ...named, Key, Body: new Blob(["bytes"]), "x-cos-meta-year": "1955" });
    await cos.putObject({ ...named, Key: "empty", Body: new Blob([]) });
    const head = await cos.headObject({ ...named, Key });
    const whole = await cos.getObject({ ...named, Key });
    const some = await cos.getObject({ ...named, Key, Range: "bytes=1-3" });
    const source = `${named.Bucket}.cos.${named.Region}.myqcloud.com/${encodeURIComponent(Key)}`;
    await cos.putObjectCopy({ ...named, Key: "copy", CopySource: source });
    const copy = await cos.getObject({ ...named, Key: "copy" });
    const empty = await cos.getObject({ ...named, Key: "empty" });
    return [put.ETag, head.headers["x-cos-meta-year"], whole.Body, some.Body, some.headers["content-range"], copy.Body, empty.Body];
  });
  const etag = `"${crypto.createHash("md5").update("bytes").digest("hex")}"`;
  assert.deepEqual(seen, [etag, "1955", "bytes", "yte", "bytes 1-3/5", "bytes", ""]);
});

test("a large file is uploaded in parts, with the defaults of the SDK", async () => {
  const seen = await page.evaluate(async () => {
    const Body = body(24 << 20);
    const done = await cos.uploadFile({ ...named, Key: "large", Body, SliceSize: 1 << 20 });
    const back = await cos.getObject({ ...named, Key: "large", DataType: "blob" });
    const [one, other] = await Promise.all([Body.arrayBuffer(), back.Body.arrayBuffer()]);
    const words = new Uint32Array(other);
    const same = new Uint32Array(one).every((word, at) => word === words[at]);
    return [done.ETag.replace(/^.*-/, ""), back.Body.size, same];
  });
  assert.deepEqual(seen, ['24"', 24 * MIB, true]);
});

test("listings, batch deletion and presigned URLs", async () => {
  const seen = await page.evaluate(async () => {
    for (const Key of ["list/a/1", "list/a/2", "list/b"]) await cos.putObject({ ...named, Key, Body: Key });
    const listed = await cos.getBucket({ ...named, Prefix: "list/", Delimiter: "/" });
    const url = await new Promise((resolve, reject) => {
      const told = (error, data) => (error ? reject(error) : resolve(data.Url));
      cos.getObjectUrl({ ...named, Key: "list/b", Sign: true }, told);
    });
    const read = await (await fetch(url)).text();
    const Objects = ["list/a/1", "list/a/2", "list/b", "absent"].map((Key) => ({ Key }));
    const gone = await cos.deleteMultipleObject({ ...named, Objects });
    const left = await cos.getBucket({ ...named, Prefix: "list/" });
    const service = await cos.getService({ Region: named.Region });
    return [
      listed.Contents.map(({ Key }) => Key),
      listed.CommonPrefixes.map(({ Prefix }) => Prefix),
      read,
      gone.Deleted.length,
      left.Contents.length,
      service.Buckets.map(({ Name }) => Name),
    ];
  });
  assert.deepEqual(seen, [["list/b"], ["list/a/"], "list/b", 4, 0, [Bucket]]);
});

test("refusals are read by the page, too", async () => {
  const wrong = await open("127.0.0.1", "wrong");
  const get = () => code(() => cos.getObject({ ...named, Key: "absent" }));
  assert.equal(await page.evaluate(get), "NoSuchKey");
  assert.equal(await wrong.evaluate(get), "SignatureDoesNotMatch");
  await wrong.close();
});

test("a page of an origin that no rule names can do nothing until the bucket has a rule for it", async () => {
  const other = await open("localhost");
  const put = () => code(() => cos.putObject({ ...named, Key: "other", Body: "bytes" }));
  assert.match(String(await other.evaluate(put)), /CORS/);
  await page.evaluate(
    (origin) => {
      const rule = { AllowedOrigin: [origin], AllowedMethod: ["PUT", "GET", "POST"], AllowedHeader: ["*"], ExposeHeader: ["ETag"] };
      return cos.putBucketCors({ ...named, CORSRules: [rule] });
    },
    origin("localhost"),
  );
  assert.equal(await other.evaluate(put), "done");
  // The rule does not allow this method.
  assert.match(String(await other.evaluate(() => code(() => cos.deleteObject({ ...named, Key: "other" })))), /CORS/);
  await page.evaluate(() => cos.deleteBucketCors(named));
  await other.close();
});

// As a page without the SDK uploads, with a policy that its own server has signed.
test("a form uploads a file", async () => {
  const now = Math.floor(Date.now() / 1000);
  const time = `${now};${now + 600}`;
  const policy = JSON.stringify({
    expiration: new Date((now + 600) * 1000).toISOString(),
    conditions: [
      { "q-sign-algorithm": "sha1" },
      { "q-ak": SECRET_ID },
      { "q-sign-time": time },
      { bucket: Bucket },
      ["starts-with", "$key", "forms/"],
    ],
  });
  const hmac = (key, text) => crypto.createHmac("sha1", key).update(text).digest("hex");
  const fields = {
    key: "forms/${filename}",
    success_action_status: "200",
    policy: Buffer.from(policy).toString("base64"),
    "q-sign-algorithm": "sha1",
    "q-ak": SECRET_ID,
    "q-key-time": time,
    "q-signature": hmac(hmac(SECRET_KEY, time), crypto.createHash("sha1").update(policy).digest("hex")),
  };
  const post = ([url, fields, key]) => {
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...fields, key })) form.append(name, value);
    form.append("file", new Blob(["of a form"]), "form.txt");
    return fetch(url, { method: "POST", body: form }).then((answer) => answer.status);
  };
  const url = `http://${Bucket}.${DOMAIN}:${server.port}/`;
  assert.equal(await page.evaluate(post, [url, fields, fields.key]), 200);
  assert.equal(await page.evaluate(post, [url, fields, "elsewhere"]), 403);
  const read = await page.evaluate(async () => (await cos.getObject({ ...named, Key: "forms/form.txt" })).Body);
  assert.equal(read, "of a form");
});

test("an upload is resumed by the same page, loaded again, after a kill -9 of the server", async () => {
  const upload = ([at]) => {
    const params = { ...named, Key: "killed", Body: body(24 << 20), ChunkSize: 1 << 20 };
    const onProgress = ({ loaded }) => loaded >= at && window.reached?.();
    return code(() => cos.sliceUploadFile({ ...params, onProgress }));
  };
  let killed;
  const first = await open("127.0.0.1");
  await first.exposeFunction("reached", () => (killed ??= server.kill()));
  await first.evaluate(() => (cos.options.ProgressInterval = 1));
  assert.notEqual(await first.evaluate(upload, [8 << 20]), "done");
  await killed;
  await first.close();
  await server.start();
  const open_uploads = () => cos.multipartList({ ...named, Prefix: "killed" }).then(({ Upload }) => Upload.length);
  assert.equal(await page.evaluate(open_uploads), 1);
  const second = await open("127.0.0.1");
  const sent = [];
  second.on("request", (request) => {
    if (request.method() === "PUT") sent.push(new URL(request.url()).searchParams.get("partNumber"));
  });
  assert.equal(await second.evaluate(upload, [Infinity]), "done");
  assert.ok(sent.length > 0 && sent.length < 24, `${sent.length} parts`);
  assert.equal(await page.evaluate(open_uploads), 0);
});
