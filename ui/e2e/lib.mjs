// Chromium, a server of static files with the app's own strict CSP, and a count of checks.
import { createServer } from "node:http";
import { mkdtempSync, readFileSync, writeFileSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

export const UI = fileURLToPath(new URL("..", import.meta.url));
export const REPO = fileURLToPath(new URL("../..", import.meta.url));
export const SHOTS = process.env.BUCKETBAR_SHOTS ?? join(REPO, "target", "ui-shots");
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** What the shell sends, but for Tauri's own channel: nothing inline, nothing from elsewhere. */
export const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".json": "application/json" };

/** Serves a folder on a free loopback port; `{origin, close}`. */
export async function serve(folder) {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname)).replace(/^\/+/, "") || "index.html";
    const file = join(folder, path);
    if (!file.startsWith(folder) || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream", "Content-Security-Policy": CSP });
    response.end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** Debian's Chromium; the flags keep it from asking Google's hosts at every start. */
export async function startBrowser() {
  const path = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
  if (!path) throw new Error("There is no Chromium. Install it (Debian: apt-get install chromium), or name it in CHROMIUM.");
  return chromium.launch({
    executablePath: path,
    env: { ...process.env, FONTCONFIG_FILE: fonts() },
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** Inter stands for the system's font where it is installed, so that pictures look as on a Mac. */
function fonts() {
  const file = join(mkdtempSync(join(tmpdir(), "bucketbar-fonts-")), "fonts.conf");
  writeFileSync(
    file,
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><include ignore_missing="yes">/etc/fonts/fonts.conf</include>
     <match target="pattern"><test name="family"><string>system-ui</string></test><edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
     <match target="pattern"><test name="family"><string>sans-serif</string></test><edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
     </fontconfig>`,
  );
  return file;
}

/** A page that notes what a user would never see: script errors and what the CSP refused. */
export async function openPage(browser, options = {}) {
  const { width = 760, height = 600, dark = false, motion = "reduce", scale = 1, ...rest } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    deviceScaleFactor: scale,
    colorScheme: dark ? "dark" : "light",
    reducedMotion: motion,
    ...rest,
  });
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) page.faults.push(message.text());
  });
  page.setDefaultTimeout(15_000);
  return page;
}

/** Violations by axe, as sentences; empty when there is none. Pages under a strict CSP let the tool run by evaluation. */
export async function axe(page, rules) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(readFileSync(AXE, "utf8"));
  const result = await page.evaluate(
    (only) => window.axe.run(document, { resultTypes: ["violations"], ...(only ? { runOnly: { type: "rule", values: only } } : {}) }),
    rules ?? null,
  );
  return result.violations.map((v) => `${v.id} (${v.impact}): ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 160)} ${n.any[0]?.message ?? ""}`).join(" | ")}`);
}

/** Pictures are for people: they are made with --full, or when BUCKETBAR_SHOTS names a folder. */
export const FULL = process.env.BUCKETBAR_FULL === "1" || process.env.BUCKETBAR_SHOTS !== undefined;

let prepared = false;
export async function shot(page, name) {
  if (!FULL) return;
  if (!prepared) mkdirSync(SHOTS, { recursive: true });
  prepared = true;
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}

const results = { passed: 0, failed: 0 };

/** Runs one check; a failure is printed and counted, and the next one goes on. Whether it did well. */
export async function check(name, work) {
  const began = Date.now();
  try {
    await work();
    results.passed += 1;
    console.log(`ok   ${name} (${Date.now() - began} ms)`);
    return true;
  } catch (error) {
    results.failed += 1;
    console.log(`FAIL ${name}\n     ${String(error?.stack ?? error).split("\n").slice(0, 14).join("\n     ")}`);
    return false;
  }
}

/** The closing line that scripts/test reads. */
export function close() {
  console.log(`${results.passed} passed, ${results.failed} failed`);
  process.exitCode = results.failed > 0 ? 1 : 0;
}

export function expect(truth, words) {
  if (!truth) throw new Error(words);
}

export function none(list, words) {
  if (list.length > 0) throw new Error(`${words}:\n  ${list.join("\n  ")}`);
}

/** Asks until it is so, at most `seconds`. */
export async function until(words, ask, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`after ${seconds} s it was still not so: ${words}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export function freshFolder(name) {
  const folder = mkdtempSync(join(tmpdir(), `bucketbar-${name}-`));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
