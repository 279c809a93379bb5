// The main paths with the real engine: the built pages over `bucketbarctl app --http`, over local-hub, in Chromium.
// Files are written by a small NFSv3 client, since the kernel of most test machines has none; nothing else stands in.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { axe, check, expect, freshFolder, none, openPage, shot, until } from "./lib.mjs";
import { startEngine, startHub } from "./engine.mjs";
import { nfsMount } from "./nfs.mjs";
import { startSession } from "./session.mjs";

const BUCKET = "alice/work";
const body = (text) => Buffer.from(text);

export async function product(browser) {
  const { folder, remove } = freshFolder("e2e");
  const session = await startSession(join(folder, "home"));
  const hub = await startHub(join(folder, "hub"));
  await hub.createBucket("alice", "work");
  await hub.put(BUCKET, "notes/theirs.txt", "as it was");
  let engine = await startEngine(session.env, hub);
  const page = await openPage(browser);
  const world = {
    page,
    hub,
    session,
    folder,
    engine: () => engine,
    restart: async () => {
      engine = await startEngine(session.env, world.hub);
      await page.goto("about:blank");
    },
  };
  try {
    // Without these two nothing that follows can be looked at.
    if (!(await signIn(world)) || !(await firstMount(world))) return;
    await saving(world);
    await pausing(world);
    await failing(world);
    await conflicting(world);
    await deleting(world);
    await goingOffline(world);
    await settings(world);
    await newBucket(world);
    await signOut(world);
    await check("no page had a script error or a refusal by the CSP", () => none(page.faults, "faults"));
  } finally {
    await page.context().close();
    await engine.end();
    await world.hub.end();
    session.end();
    remove();
  }
}

const visit = async ({ page, engine }, route) => {
  // As a window of the app: the fragment chooses the page. The first time with the token.
  if (page.url().startsWith(engine().url)) await page.evaluate((hash) => (location.hash = hash), `#/${route}`);
  else await page.goto(engine().page(route));
  await page.locator("main").first().waitFor();
};
const button = (page, name) => page.getByRole("button", { name, exact: true });
const row = (page, name) => page.locator(".virtual-row").filter({ hasText: name });
const tab = (page, name) => page.getByRole("tab", { name }).click();
const line = (page) => page.locator(".status-line").textContent();

/** The served bucket as a file system. MNT is answered once, and soon after the mount; the port and the token are in
 * the state directory, for its owner only. */
async function fileSystem({ session }) {
  const endpoints = readdirSync(session.env.XDG_STATE_HOME, { recursive: true }).filter((name) => name.endsWith("endpoint.json"));
  const known = endpoints.map((name) => JSON.parse(readFileSync(join(session.env.XDG_STATE_HOME, name), "utf8")));
  const endpoint = known.find((one) => one.bucket_id.endsWith(BUCKET));
  return nfsMount(endpoint.port, `/${endpoint.mount_token}/${endpoint.volume}`);
}

async function signIn(world) {
  const { page, hub, session } = world;
  await check("signed out: the Activity says so and leads to Welcome", async () => {
    await visit(world, "activity");
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
    expect(!page.url().includes("token"), "the token stays in the address");
    await button(page, "Sign in").click();
    await page.getByRole("heading", { level: 1 }).waitFor();
    await shot(page, "product_1-welcome");
  });
  await check("a sign-in can be cancelled", async () => {
    await button(page, "Sign in with your browser").click();
    await button(page, "Cancel").click();
    await button(page, "Sign in with your browser").waitFor();
    session.takeOpened();
  });
  const signedIn = await check("sign in through the Hub's consent page", async () => {
    await button(page, "Sign in with your browser").click();
    const [address] = await until("a browser was opened", () => {
      const opened = session.takeOpened();
      return opened.length > 0 && opened;
    });
    expect(address.startsWith(hub.origin), `the browser was sent to ${address}`);
    const consent = await page.context().newPage();
    await consent.goto(address);
    await consent.getByLabel("wonderland").check();
    await consent.getByRole("button", { name: "Allow" }).click();
    await page.getByRole("heading", { name: "Allow BucketBar to mount" }).waitFor();
    await consent.close();
  });
  await check("the pages never hold a Hub token", async () => {
    const kept = await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }) + document.documentElement.outerHTML + document.cookie);
    expect(!/hf_[a-z]|hf_oauth/i.test(kept), "a token of the Hub is in the page");
  });
  return signedIn;
}

async function firstMount(world) {
  const { page } = world;
  return check("Welcome leads to a mounted bucket", async () => {
    await button(page, "Continue").click();
    await page.getByRole("button", { name: `Mount: ${BUCKET}` }).click();
    await page.getByRole("heading", { name: "That’s it" }).waitFor();
    world.files = await fileSystem(world);
    await shot(page, "product_2-mounted");
    none(await axe(page), "axe");
    await button(page, "Done").click();
    await page.getByRole("heading", { name: "Everything is on the Hub" }).waitFor();
  });
}

async function saving(world) {
  const { page, hub } = world;
  await check("a file goes through uploading to saved, and is on the Hub", async () => {
    expect((await world.files.read("notes/theirs.txt")).toString() === "as it was", "the bucket's file is not what it was");
    // Slow enough to be seen.
    await hub.fault({ route: "POST *xorb*", times: 3, harm: { kind: "delay", ms: 1500 } });
    await world.files.write("big/model.bin", Buffer.alloc(6_000_000, (Math.random() * 255) | 0));
    await world.files.write("hello.txt", body("hello"));
    await row(page, "model.bin").waitFor();
    await until("the state line speaks of an upload", async () => /upload|wait/i.test(await line(page)));
    await shot(page, "product_3-uploading");
    await until("everything is saved", async () => /All saved/.test(await line(page)), 60);
    await page.getByRole("heading", { name: "Everything is on the Hub" }).waitFor();
    await tab(page, "Saved");
    await row(page, "hello.txt").waitFor();
    await row(page, "model.bin").waitFor();
    await shot(page, "product_4-saved");
    expect((await hub.text(BUCKET, "hello.txt")) === "hello", "the Hub has something else");
  });
  await check("a saved file leads to its page on the Hub", async () => {
    world.session.takeOpened();
    await row(page, "hello.txt").getByRole("button", { name: "More for hello.txt" }).click();
    await page.getByRole("menuitem", { name: "Open on the Hub" }).click();
    const [address] = await until("a browser was opened", () => {
      const opened = world.session.takeOpened();
      return opened.length > 0 && opened;
    });
    expect(address.startsWith(`${hub.origin}/buckets/${BUCKET}`) && address.endsWith("hello.txt"), `it leads to ${address}`);
    await tab(page, "Activity");
  });
}

async function pausing(world) {
  const { page, hub } = world;
  await check("pause holds uploads, resume lets them go", async () => {
    await button(page, "Pause").click();
    await page.getByRole("menuitem", { name: "Until I resume" }).click();
    await button(page, "Resume uploads").waitFor();
    await world.files.write("later.txt", body("later"));
    await row(page, "later.txt").waitFor();
    await until("the state line says it", async () => /pause/i.test(await line(page)));
    await new Promise((resolve) => setTimeout(resolve, 3500));
    expect((await hub.text(BUCKET, "later.txt")) === null, "it was uploaded while paused");
    await shot(page, "product_5-paused");
    await button(page, "Resume uploads").click();
    await until("it is on the Hub", async () => (await hub.text(BUCKET, "later.txt")) === "later");
    await until("everything is saved", async () => /All saved/.test(await line(page)));
  });
}

async function failing(world) {
  const { page, hub } = world;
  await check("a refusal of the Hub becomes a row that says why, and Retry heals it", async () => {
    await hub.fault({ route: `POST /api/buckets/${BUCKET}/batch`, harm: { kind: "refuse", status: 403, code: null, message: "You may not write here" } });
    await world.files.write("refused.txt", body("now allowed"));
    const failed = row(page, "refused.txt").filter({ has: page.getByRole("button", { name: "Retry: refused.txt" }) });
    await failed.waitFor();
    await until("the state line asks for the person", async () => /need/i.test(await line(page)));
    expect(/may not write/i.test(await failed.textContent()), `the row says: ${await failed.textContent()}`);
    await shot(page, "product_6-failed");
    none(await axe(page), "axe");
    await hub.clearFaults();
    await failed.getByRole("button", { name: "Retry: refused.txt" }).click();
    await until("it is on the Hub", async () => (await hub.text(BUCKET, "refused.txt")) === "now allowed");
    await until("everything is saved", async () => /All saved/.test(await line(page)));
  });
  await check("a failed change can be discarded, after a second question", async () => {
    await hub.fault({ route: `POST /api/buckets/${BUCKET}/batch`, harm: { kind: "refuse", status: 403, code: null, message: "You may not write here" } });
    await world.files.write("hello.txt", body("not wanted"));
    await row(page, "hello.txt").getByRole("button", { name: /Discard local change/ }).click();
    await page.getByRole("dialog").waitFor();
    await shot(page, "product_7-discard");
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    expect((await row(page, "hello.txt").count()) > 0, "Cancel discarded it");
    await row(page, "hello.txt").getByRole("button", { name: /Discard local change/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Discard change" }).click();
    await until("nothing waits any more", async () => /All saved/.test(await line(page)));
    expect((await world.files.read("hello.txt")).toString() === "hello", "the file is not as on the Hub");
  });
}

async function conflicting(world) {
  const { page, hub } = world;
  await hub.clearFaults();
  await check("a file changed in two places: a row, and the choice is done", async () => {
    // Their change is not heard of before ours is uploaded.
    await world.engine().call("pause", {});
    await world.files.write("notes/theirs.txt", body("mine"));
    await hub.put(BUCKET, "notes/theirs.txt", "theirs, later");
    await world.engine().call("resume", {});
    const conflict = row(page, "theirs.txt").filter({ has: page.getByRole("button", { name: /Keep mine/ }) });
    await conflict.waitFor({ timeout: 30_000 });
    await shot(page, "product_8-conflict");
    none(await axe(page), "axe");
    await conflict.getByRole("button", { name: /Keep mine/ }).click();
    await until("the row is gone", async () => (await conflict.count()) === 0);
    await until("mine is on the Hub", async () => (await hub.text(BUCKET, "notes/theirs.txt")) === "mine", 60);
    await until("the list shows nothing on its way", async () => (await page.getByRole("heading", { name: /^(Uploading|Waiting|Needs you)$/ }).count()) === 0);
  });
}

async function deleting(world) {
  const { page } = world;
  await check("a deleted file can be brought back", async () => {
    await world.files.remove("later.txt");
    await tab(page, "Deleted");
    const gone = row(page, "later.txt");
    await gone.waitFor({ timeout: 30_000 });
    await shot(page, "product_9-deleted");
    await gone.getByRole("button", { name: /Restore/ }).click();
    await until("it is there again", async () => (await world.files.read("later.txt"))?.toString() === "later", 60);
    await tab(page, "Activity");
  });
}

async function goingOffline(world) {
  const { page } = world;
  await check("offline: the pages say so, what is written waits, and goes up when the Hub is back", async () => {
    const port = new URL(world.hub.origin).port;
    await world.hub.end();
    try {
      await world.files.write("offline.txt", body("written offline"));
      await until("the state line says it", async () => /offline/i.test(await line(page)), 60);
      await row(page, "offline.txt").waitFor();
      await shot(page, "product_12-offline");
      none(await axe(page), "axe");
    } finally {
      world.hub = await startHub(join(world.folder, "hub"), "--listen", `127.0.0.1:${port}`);
    }
    await until("it is on the Hub", async () => (await world.hub.text(BUCKET, "offline.txt")) === "written offline", 60);
    await until("everything is saved", async () => /All saved/.test(await line(page)), 60);
  });
}

async function settings(world) {
  const { page, engine } = world;
  await check("settings are kept over a restart of the engine", async () => {
    await visit(world, "settings/general");
    await page.getByLabel("Mount read-only").click();
    await page.getByLabel(BUCKET).click();
    await page.getByRole("tab", { name: "Transfers" }).click();
    await page.getByLabel("Limited", { exact: true }).click();
    await page.getByLabel("At most").fill("3");
    await page.getByLabel("Uploads at a time").fill("4");
    await page.getByRole("tab", { name: "Storage" }).click();
    await page.getByLabel("Custom").first().click();
    await page.getByRole("tab", { name: "Notifications" }).click();
    await page.getByLabel("Files were recovered after a restart").click();
    await until("the engine has them", async () => (await engine().call("snapshot")).settings.notifications.recovered === false);
    const before = (await engine().call("snapshot")).settings;
    expect(before.read_only_by_default && before.mount_at_login.includes(BUCKET), `settings are ${JSON.stringify(before)}`);
    expect(before.parallel_uploads === 5 && before.upload_bytes_per_s === 1_000_000 && before.cache_bytes > 0, `settings are ${JSON.stringify(before)}`);
    world.files.close();
    await engine().kill("SIGKILL");
    await world.restart();
    const after = (await world.engine().call("snapshot")).settings;
    expect(JSON.stringify(after) === JSON.stringify(before), `they were ${JSON.stringify(before)} and are ${JSON.stringify(after)}`);
    await visit(world, "settings/transfers");
    expect(await page.getByLabel("Limited", { exact: true }).isChecked(), "the page shows another choice");
  });
  await check("a setting that cannot be is refused with a sentence", async () => {
    await visit(world, "settings/general");
    await page.getByLabel("Mount folder").fill("not absolute");
    await button(page, "Save").click();
    await page.getByRole("alert").waitFor();
    none(await axe(page), "axe");
  });
  await check("diagnostics can be copied and hold no token", async () => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await visit(world, "settings/advanced");
    await button(page, "Copy diagnostics").click();
    await page.getByText("Copied").waitFor();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    expect(text.length > 100 && !/hf_[a-z]/i.test(text), `it says: ${text.slice(0, 200)}`);
  });
}

async function newBucket(world) {
  const { page, hub } = world;
  await check("a new bucket is made for an organisation", async () => {
    await visit(world, "new-bucket");
    await page.getByRole("combobox", { name: "Owner" }).click();
    await page.getByRole("option", { name: "wonderland" }).click();
    await page.getByLabel("Name", { exact: true }).fill("tea");
    await page.getByLabel("Public").click();
    await button(page, "Create bucket").click();
    await page.getByRole("heading", { name: "The bucket is there" }).waitFor();
    await shot(page, "product_10-new");
    expect((await hub.buckets("wonderland")).includes("wonderland/tea"), "the Hub does not have it");
  });
  await check("a name that is taken is said at its place", async () => {
    await button(page, "Make another").click();
    await page.getByRole("combobox", { name: "Owner" }).click();
    await page.getByRole("option", { name: "alice" }).click();
    await page.getByLabel("Name", { exact: true }).fill("work");
    await button(page, "Create bucket").click();
    await page.getByRole("alert").waitFor();
  });
}

async function signOut(world) {
  const { page, session } = world;
  await check("sign out: the token is gone from the keychain, and the pages say it", async () => {
    const there = () => execFileSync("secret-tool", ["search", "--all", "service", "co.BucketBar.BucketBar"], { env: session.env, stdio: ["ignore", "pipe", "pipe"] }).toString();
    expect(there().includes("secret"), "the sign-in was not in the keychain");
    await visit(world, "settings/accounts");
    await page.getByRole("button", { name: /Sign out/ }).click();
    const dialog = page.getByRole("dialog");
    await Promise.race([dialog.waitFor(), button(page, "Sign in with your browser").waitFor()]);
    if (await dialog.count()) await dialog.getByRole("button", { name: "Sign out" }).click();
    await button(page, "Sign in with your browser").waitFor();
    expect(!there().includes("secret"), "something is still in the keychain");
    await visit(world, "activity");
    await until("the Activity says it", async () => /signed out/i.test(await page.locator("main").textContent()));
    await shot(page, "product_11-signed-out");
  });
}
