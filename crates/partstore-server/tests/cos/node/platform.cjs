// The parts of a mini program's platform that the SDK uses.

const fs = require("node:fs");
const http = require("node:http");

const storage = new Map();

function send(port, { url, method, header, body, success, fail }) {
  const { host, pathname, search } = new URL(url);
  const headers = { host };
  for (const [name, value] of Object.entries(header ?? {})) {
    if (value !== undefined && value !== "") headers[name.toLowerCase()] = String(value);
  }
  headers["content-length"] = String(body.length);
  const options = { host: "127.0.0.1", port, method, path: pathname + search, headers };
  const asked = http.request(options, async (answer) => {
    const chunks = [];
    for await (const chunk of answer) chunks.push(chunk);
    const data = Buffer.concat(chunks);
    success({ statusCode: answer.statusCode, header: answer.headers, data: data.toString() });
  });
  asked.on("error", (error) => fail({ errMsg: String(error) }));
  asked.end(body);
  return { abort: () => asked.destroy(), onProgressUpdate() {} };
}

function form(fields, name, file) {
  const edge = "----edge";
  let head = "";
  for (const [key, value] of Object.entries(fields)) {
    head += `--${edge}\r\nContent-Disposition: form-data; name="${key}"\r\n\r\n${value}\r\n`;
  }
  head += `--${edge}\r\nContent-Disposition: form-data; name="${name}"; filename="file"\r\n`;
  head += "Content-Type: application/octet-stream\r\n\r\n";
  const body = Buffer.concat([Buffer.from(head), file, Buffer.from(`\r\n--${edge}--\r\n`)]);
  return { body, kind: `multipart/form-data; boundary=${edge}` };
}

function platform(port) {
  return {
    request(params) {
      const data = params.data ?? "";
      const body = typeof data === "string" ? Buffer.from(data) : Buffer.from(data);
      return send(port(), { ...params, body });
    },
    uploadFile({ url, header, formData, name, filePath, ...told }) {
      const { body, kind } = form(formData, name, fs.readFileSync(filePath));
      const kept = Object.entries(header).filter(([name]) => !/^content-/i.test(name));
      return send(port(), { ...told, url, method: "POST", header: { ...Object.fromEntries(kept), "Content-Type": kind }, body });
    },
    getFileSystemManager: () => ({
      stat({ path, success, fail }) {
        fs.stat(path, (error, stats) => (error ? fail(error) : success({ stats })));
      },
      readFile({ filePath, position = 0, length, encoding, success, fail }) {
        fs.readFile(filePath, (error, data) => {
          if (error) return fail(error);
          const some = data.subarray(position, length === undefined ? undefined : position + length);
          const buffer = some.buffer.slice(some.byteOffset, some.byteOffset + some.length);
          success({ data: encoding ? some.toString(encoding) : buffer });
        });
      },
    }),
    getStorageSync: (name) => storage.get(name),
    setStorageSync: (name, value) => storage.set(name, value),
    removeStorageSync: (name) => storage.delete(name),
    getAppBaseInfo: () => ({ SDKVersion: "2.30.0" }),
    getDeviceInfo: () => ({ platform: "android" }),
    canIUse: (name) => ["getAppBaseInfo", "getDeviceInfo"].includes(name),
  };
}

module.exports = { platform };
