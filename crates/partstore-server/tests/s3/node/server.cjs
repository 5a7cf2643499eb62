// A server of its own, on both protocols.

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");

const KEYS = { PARTSTORE_SECRET_ID: "id", PARTSTORE_SECRET_KEY: "secret" };

class Server {
  constructor() {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), "partstore-"));
    this.ports = [0, 0];
  }

  // Starts it on the same directory and ports as before.
  async start() {
    const [cos, s3] = this.ports.map((port) => `127.0.0.1:${port}`);
    const options = ["--data", this.directory, "--cos", cos, "--s3", s3];
    this.process = spawn(process.env.PARTSTORE_SERVER, options, {
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, ...KEYS },
    });
    const lines = readline.createInterface({ input: this.process.stdout });
    this.ports = [];
    for await (const line of lines) {
      this.ports.push(Number(/:(\d+)( |$)/.exec(line)[1]));
      if (this.ports.length === 2) break;
    }
    if (this.ports.length < 2) throw new Error("the server does not start");
    this.endpoint = `http://127.0.0.1:${this.ports[1]}`;
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

module.exports = { Server };
