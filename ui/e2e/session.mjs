// A session of a person's desktop as far as the engine needs one: a message bus, an unlocked keychain, and a browser
// to open addresses with (it hands them to the test, which opens them in Chromium).
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "./lib.mjs";

export async function startSession(home) {
  const run = join(home, "run");
  mkdirSync(run, { recursive: true, mode: 0o700 });
  const opened = join(home, "opened-address");
  const bin = join(home, "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "xdg-open"), `#!/bin/sh\nprintf '%s\\n' "$1" >> '${opened}'\n`);
  chmodSync(join(bin, "xdg-open"), 0o755);
  const env = {
    PATH: `${bin}:${process.env.PATH}`,
    HOME: home,
    LANG: "C.UTF-8",
    XDG_RUNTIME_DIR: run,
    XDG_CONFIG_HOME: join(home, "config"),
    XDG_STATE_HOME: join(home, "state"),
    XDG_DATA_HOME: join(home, "data"),
    XDG_CACHE_HOME: join(home, "cache"),
    DBUS_SESSION_BUS_ADDRESS: `unix:path=${join(run, "bus")}`,
    // A session in which a person could see a browser.
    DISPLAY: ":99",
  };
  const bus = spawn("dbus-daemon", ["--session", "--nofork", "--nopidfile", `--address=${env.DBUS_SESSION_BUS_ADDRESS}`], { env, stdio: "ignore" });
  await until("the message bus is there", () => existsSync(join(run, "bus")));
  const keyring = spawn("gnome-keyring-daemon", ["--unlock", "--components=secrets", "--foreground"], { env, stdio: ["pipe", "ignore", "ignore"] });
  keyring.stdin.end("a test's password");
  await until("the keychain is there", () => existsSync(join(run, "keyring", "control")));
  return {
    env,
    /** The addresses that the engine opened in the person's browser since the last call. */
    takeOpened: () => {
      if (!existsSync(opened)) return [];
      const text = readFileSync(opened, "utf8");
      // It may be in the middle of writing.
      if (!text.endsWith("\n")) return [];
      rmSync(opened);
      return text.trim().split("\n");
    },
    end: () => {
      keyring.kill();
      bus.kill();
    },
  };
}
