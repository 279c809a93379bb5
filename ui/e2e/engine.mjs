// The built programs as the pages' world: local-hub, and the engine with its HTTP API. Each ends with its test.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { REPO } from "./lib.mjs";

const BIN = process.env.BUCKETBAR_BIN ?? join(REPO, "target", "release");
const START_MS = 60_000;

/** Starts a program and gives the JSON of its first line; `end()` asks it to end and waits. */
async function start(name, argv, env, log) {
  const child = spawn(join(BIN, name), argv, { env, stdio: ["ignore", "pipe", log ? "inherit" : "ignore"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const lines = createInterface({ input: child.stdout });
  const first = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} says nothing`)), START_MS);
    lines.once("line", (line) => {
      clearTimeout(timer);
      resolve(line);
    });
    child.once("error", (error) => reject(new Error(`${name}: ${error.message}; build it with scripts/build`)));
    child.once("exit", (code) => reject(new Error(`${name} ended with ${code}`)));
  });
  lines.on("line", () => undefined);
  return {
    first: JSON.parse(first),
    pid: child.pid,
    kill: async (signal) => {
      child.kill(signal);
      await ended;
    },
    end: async () => {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** A Hub with the demo bucket, and its controls. */
export async function startHub(folder, ...more) {
  mkdirSync(folder, { recursive: true });
  const hub = await start("local-hub", ["--data", folder, "--token", "hf_alice=alice", "--org", "wonderland=alice", ...more], process.env);
  const origin = hub.first.endpoint;
  const control = async (method, path, body) => {
    const response = await fetch(`${origin}/_control/${path}`, {
      method,
      headers: { "Content-Type": typeof body === "string" ? "application/octet-stream" : "application/json" },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`_control/${path}: ${response.status} ${await response.text()}`);
    return response.json().catch(() => null);
  };
  const api = (path, init = {}) => fetch(`${origin}${path}`, { ...init, headers: { Authorization: "Bearer hf_alice", "Content-Type": "application/json", ...init.headers } });
  return {
    ...hub,
    origin,
    /** A file that somebody else put there. */
    put: (bucket, path, text) => control("POST", `put?bucket=${encodeURIComponent(bucket)}&path=${encodeURIComponent(path)}`, text),
    fault: (rule) => control("POST", "faults", rule),
    clearFaults: () => control("DELETE", "faults"),
    createBucket: async (owner, name) => {
      const response = await api(`/api/buckets/${owner}/${name}`, { method: "POST", body: JSON.stringify({ private: true }) });
      if (!response.ok) throw new Error(`creating ${owner}/${name}: ${response.status} ${await response.text()}`);
    },
    /** What the Hub has at a path, as text; null when there is nothing. */
    text: async (bucket, path) => {
      const response = await api(`/buckets/${bucket}/resolve/${path.split("/").map(encodeURIComponent).join("/")}`);
      return response.ok ? response.text() : null;
    },
    buckets: async (owner) => (await (await api(`/api/buckets/${owner}`)).json()).map((one) => one.id),
  };
}

/** The engine with its HTTP API and the built pages, in a session's environment. */
export async function startEngine(session, hub, ...more) {
  const env = { ...session, HF_ENDPOINT: hub.origin };
  const argv = ["app", "--http", "--serve-only", "--poll-ms", "1000", "--ui", join(REPO, "ui", "dist"), ...more];
  const engine = await start("bucketbarctl", argv, env, process.env.BUCKETBAR_E2E_LOG !== undefined);
  const { url, token } = engine.first;
  return {
    ...engine,
    url,
    page: (route) => `${url}#token=${token}&/${route}`,
    call: async (name, args = {}) => {
      const response = await fetch(`${url}api/call/${name}`, { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: JSON.stringify(args) });
      const answer = await response.json();
      if (!response.ok) throw new Error(`${name}: ${answer.what ?? response.status}`);
      return answer;
    },
  };
}
