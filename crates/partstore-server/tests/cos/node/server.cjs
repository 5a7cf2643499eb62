// A server of its own, on the protocol of COS.

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");

const SECRET_ID = "AKIDexample";
const SECRET_KEY = "secret-of-the-example";

class Server {
  constructor(...options) {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), "partstore-"));
    this.options = options;
    this.port = 0;
  }

  // Starts it on the same directory and port as before.
  async start() {
    const listen = ["--data", path.join(this.directory, "data"), "--cos", `127.0.0.1:${this.port}`];
    const keys = { PARTSTORE_SECRET_ID: SECRET_ID, PARTSTORE_SECRET_KEY: SECRET_KEY };
    this.process = spawn(process.env.PARTSTORE_SERVER, [...listen, ...this.options], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, ...keys },
    });
    const lines = readline.createInterface({ input: this.process.stdout });
    for await (const line of lines) {
      this.port = Number(/:(\d+)( |$)/.exec(line)[1]);
      return;
    }
    throw new Error("the server does not start");
  }

  get address() {
    return `127.0.0.1:${this.port}`;
  }

  // `kill -9`
  async kill() {
    const ended = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await ended;
  }

  // Ends it in order, and says its status.
  async stop() {
    const ended = once(this.process, "exit");
    this.process.kill("SIGTERM");
    const [status] = await ended;
    fs.rmSync(this.directory, { recursive: true });
    return status;
  }
}

module.exports = { Server, SECRET_ID, SECRET_KEY };
