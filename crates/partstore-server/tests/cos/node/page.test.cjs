// The page of `--admin` in Chromium: what it shows is what was put.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const http = require("node:http");
const path = require("node:path");
const { after, before, test } = require("node:test");

const COS = require("cos-nodejs-sdk-v5");
const { chromium } = require("playwright-core");

const { Server, SECRET_ID, SECRET_KEY } = require("./server.cjs");

const named = { Bucket: "films-1250000000", Region: "ap-example" };
const MIB = 1024 * 1024;
const ODD = "dir/<img src=x onerror=document.title='no'> ü";
// Where pictures of the page go, if anywhere.
const pictures = process.env.PARTSTORE_PICTURES;

let server, browser, admin;

// A port that nobody has now.
function freePort() {
  return new Promise((resolve) => {
    const holder = http.createServer().listen(0, "127.0.0.1", () => {
      const { port } = holder.address();
      holder.close(() => resolve(port));
    });
  });
}

before(async () => {
  admin = `http://127.0.0.1:${await freePort()}/`;
  server = new Server("--admin", new URL(admin).host);
  await server.start();
  browser = await chromium.launch({
    executablePath: process.env.PARTSTORE_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
  });
  const cos = new COS({ SecretId: SECRET_ID, SecretKey: SECRET_KEY, Protocol: "http:", Ip: server.address, ConfCwd: path.join(server.directory, "sdk") });
  await cos.putBucket(named);
  for (const Key of ["one", "two"]) await cos.putObject({ ...named, Key, Body: crypto.randomBytes(MIB) });
  await cos.getObject({ ...named, Key: "one" });
  // Bytes that are stored already.
  const again = crypto.randomBytes(MIB);
  for (const Key of ["same", "same"]) await cos.putObject({ ...named, Key, Body: again });
  await cos.deleteObject({ ...named, Key: "same" });
  const { UploadId } = await cos.multipartInit({ ...named, Key: ODD });
  for (const PartNumber of [1, 2, 3])
    await cos.multipartUpload({ ...named, Key: ODD, UploadId, PartNumber, Body: crypto.randomBytes(MIB) });
});

after(async () => {
  await browser?.close();
  assert.equal(await server.stop(), 0);
});

async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  await page.goto(admin);
  await page.getByText("ready", { exact: true }).waitFor();
  return { page, faults };
}

const cells = (page, body) => page.$$eval(`#${body} tr`, (rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)));

test("the page shows what was put", async () => {
  const { page, faults } = await open({});
  const stored = await page.$$eval("#stored dd", (figures) => figures.map((figure) => figure.textContent));
  // The server keeps one object of its own, of some bytes.
  assert.deepEqual(stored.slice(0, 5), ["3", "3", "6", "5 MiB", "5 MiB"]);
  const namespaces = await cells(page, "namespaces");
  assert.deepEqual(namespaces.find(([name]) => name === named.Bucket), [named.Bucket, "5 MiB", "2", "1"]);
  const [[key, parts, size, begun], ...others] = await cells(page, "uploads");
  assert.deepEqual([key, parts, size, others], [`${named.Bucket}/${ODD}`, "3", "3 MiB", []]);
  assert.match(begun, /^\d+ s ago$/);
  const said = async (id) => Object.fromEntries(await page.$$eval(`#${id} dt`, (terms) =>
    terms.map((term) => [term.textContent, term.nextElementSibling.textContent])));
  // Of what was put, one body was known: 1 MiB.
  assert.equal((await said("stored"))["of them known already"], "1, 1 MiB");
  const upkeep = await said("upkeep");
  assert.match(upkeep["next sweep"], /^(now|in (\d+ s|1 min))$/);
  assert.equal(upkeep["next expiry"], "not planned");
  assert.match(upkeep["oldest open upload"], /^begun \d+ s ago$/);
  assert.deepEqual(await said("found"), { "damaged blobs": "0", "damaged files": "0", "outcomes unknown": "0" });
  assert.equal(await page.title(), "partstore");
  // A span has ended: what came in is drawn.
  await page.waitForFunction(() => document.querySelector("#bytes .first").getAttribute("d").length > 0);
  for (const kind of ["writes", "commits"])
    await page.waitForFunction((kind) => document.querySelector(`#${kind} .first`).getAttribute("d").length > 0, kind);
  assert.match((await said("syncs")).journal, /^[\d.,]+ ms, [\d.,]+ ms$/);
  assert.deepEqual(faults, []);
});

for (const colorScheme of ["light", "dark"]) {
  for (const [device, viewport] of [["desk", { width: 1200, height: 900 }], ["phone", { width: 380, height: 800 }]]) {
    test(`the page can be read in ${colorScheme}, on a ${device}`, async () => {
      const { page, faults } = await open({ colorScheme, viewport });
      const seen = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth,
        ground: getComputedStyle(document.body).backgroundColor,
        // Cards of which some is out of sight, and lines that are.
        cut: [...document.querySelectorAll("section")].filter((card) => card.scrollWidth > card.clientWidth).map((card) => card.textContent),
        lost: [...document.querySelectorAll("svg path")].filter((line) => {
          const { x, width } = line.getBBox();
          return x < 1 || x + width > 299;
        }).map((line) => line.parentElement.id),
      }));
      assert.ok(seen.wide <= viewport.width, `${seen.wide} pixels wide`);
      assert.deepEqual([seen.cut, seen.lost], [[], []]);
      const light = Number(/\d+/.exec(seen.ground)[0]) > 128;
      assert.equal(light, colorScheme === "light");
      if (pictures) await page.screenshot({ path: path.join(pictures, `${colorScheme}-${device}.png`), fullPage: true });
      assert.deepEqual(faults, []);
    });
  }
}

test("the page says when the server is gone", async () => {
  const other = new Server("--admin", `127.0.0.1:${await freePort()}`);
  await other.start();
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://${other.options[1]}/`);
  await page.getByText("ready", { exact: true }).waitFor();
  assert.equal(await other.stop(), 0);
  await page.getByText("the server does not answer").waitFor();
});
