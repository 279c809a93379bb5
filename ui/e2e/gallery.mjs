// Every state of every page over the scripted engine: a picture light and dark, no violation by axe, no script error,
// nothing that the strict CSP refuses, nothing cut; in the pseudo-locale no word that is not in the catalogue.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { axe, check, expect, FULL, none, openPage, serve, shot, UI, until } from "./lib.mjs";
import { cutText, untranslated } from "./page-checks.mjs";

/** state, page, what to do before looking (by its name), name of the picture. */
const ALL_VIEWS = [
  ["busy", "activity"],
  ["busy", "activity", "saved"],
  ["busy", "activity", "removed"],
  ["busy", "activity", "pauseMenu"],
  ["busy", "activity", "chooseBucket"],
  ["busy", "activity", "rowMenu"],
  ["busy", "activity", "mountDialog"],
  ["busy", "activity", "noMatch"],
  ["attention", "activity"],
  ["attention", "activity", "end"],
  ["attention", "activity", "discard"],
  ["idle", "activity"],
  ["nothing", "activity"],
  ["nothing", "activity", "removed"],
  ["signed-out", "activity"],
  ["paused", "activity"],
  ["offline", "activity"],
  ["mounts", "activity"],
  ["one", "activity"],
  ["long", "activity"],
  ["thousands", "activity"],
  ["problem", "activity", "pauseNow"],
  ["lost", "activity"],
  ["ended", "activity"],
  ["dead", "activity"],
  ["broken", "activity", "brokenList"],
  ["idle", "settings/general"],
  ["accounts", "settings/accounts"],
  ["accounts", "settings/accounts", "signOut"],
  ["signed-out", "settings/accounts"],
  ["idle", "settings/transfers"],
  ["idle", "settings/storage"],
  ["idle", "settings/notifications"],
  ["snoozing", "settings/notifications"],
  ["idle", "settings/advanced"],
  ["refused", "settings/advanced", "removeAll"],
  ["signed-out", "welcome"],
  ["signed-out", "welcome", "token"],
  ["no-oauth", "welcome"],
  ["sign-in-browser", "welcome"],
  ["sign-in-device", "welcome"],
  ["sign-in-checking", "welcome"],
  ["sign-in-failed", "welcome"],
  ["idle", "welcome"],
  ["idle", "welcome", "step2"],
  ["helper-missing", "welcome", "step2"],
  ["helper-approval", "welcome", "step2"],
  ["cannot-mount", "welcome", "step2"],
  ["nothing", "welcome", "step3"],
  ["idle", "welcome", "step3"],
  ["no-buckets", "welcome", "step3"],
  ["list-failed", "welcome", "step3"],
  ["idle", "new-bucket"],
  ["idle", "new-bucket", "owners"],
  ["idle", "new-bucket", "badName"],
  ["taken", "new-bucket", "create"],
  ["signed-out", "new-bucket"],
  ["idle", "offline"],
  ["idle", "offline", "keepMore"],
];

/** All, or those that BUCKETBAR_VIEWS (a regular expression over their names) chooses while one works on them. */
const VIEWS = ALL_VIEWS.filter((view) => new RegExp(process.env.BUCKETBAR_VIEWS ?? "").test(nameOf(view)));

const click = (selector, nth = 0) => (page) => page.locator(selector).nth(nth).click();
const tab = (nth) => click(".toolbar [role=tab]", nth);
const DEEDS = {
  saved: tab(1),
  removed: tab(2),
  brokenList: async (page) => {
    await tab(1)(page);
    await page.locator("main.alone").waitFor();
    page.faults.length = 0;
  },
  pauseMenu: click(".status-deeds [aria-haspopup=menu]"),
  chooseBucket: click(".sidebar-list .side-item", 1),
  rowMenu: async (page) => {
    await tab(1)(page);
    await click(".row-aside [aria-haspopup=menu]")(page);
  },
  mountDialog: click(".side-foot .side-item", 0),
  noMatch: (page) => page.locator(".toolbar input").fill("zzz"),
  end: (page) => page.locator(".virtual").evaluate((list) => list.scrollTo(0, list.scrollHeight)),
  discard: async (page) => {
    await page.locator(".virtual").evaluate((list) => list.scrollTo(0, 500));
    await page.locator(".row .button.danger").last().click();
  },
  pauseNow: async (page) => {
    await DEEDS.pauseMenu(page);
    await click("[role=menuitem]")(page);
  },
  signOut: click(".line .button-row .button"),
  removeAll: click(".button.danger"),
  token: click(".other-ways .button", 2),
  step2: click(".welcome-foot .button", 1),
  step3: async (page) => {
    await click(".welcome-foot .button", 1)(page);
    await click(".welcome-foot .button", 1)(page);
  },
  keepMore: async (page) => {
    await page.locator(".offline-page form .input").first().fill("huge");
    await page.locator(".offline-page form .button").first().click();
    await page.locator("dialog[open]").first().waitFor();
  },
  owners: click(".popup-button"),
  badName: (page) => page.locator("#bucket-name").fill("no spaces"),
  create: async (page) => {
    await page.locator("#bucket-name").fill("experiments");
    await page.locator(".button.primary").click();
  },
};

const SIZES = { activity: [760, 600], settings: [720, 560], welcome: [620, 600], "new-bucket": [460, 480], offline: [620, 520] };
const SMALL = { activity: [420, 420], settings: [480, 400], welcome: [460, 480], "new-bucket": [380, 420], offline: [420, 360] };

let visits = 0;
async function show(page, origin, [state, path, deed], query = "") {
  // A number in the address: else only the fragment differs, and the page before goes on.
  await page.goto(`${origin}/gallery.html?n=${(visits += 1)}&state=${state}${query}#/${path}`);
  await page.locator("main").first().waitFor();
  await until("the list is drawn", () => page.evaluate(() => !document.querySelector(".virtual") || document.querySelector(".virtual-row") !== null));
  if (deed) await DEEDS[deed](page);
  await page.evaluate(() => new Promise((done) => setTimeout(done, 60)));
}

function nameOf([state, path, deed]) {
  return [path.replace("/", "-"), state, deed].filter(Boolean).join("_");
}

export async function gallery(browser) {
  execFileSync("npx", ["vite", "build", "--mode", "gallery", "--outDir", "dist-gallery", "--logLevel", "warn"], { cwd: UI, stdio: "inherit" });
  const { origin, close } = await serve(join(UI, "dist-gallery"));
  try {
    for (const dark of [false, true]) await eachView(browser, origin, dark);
    if (FULL) await eachSmall(browser, origin);
    await eachPseudo(browser, origin);
    await scrolling(browser, origin);
    await keyboard(browser, origin);
  } finally {
    close();
  }
}

async function eachView(browser, origin, dark) {
  const page = await openPage(browser, { dark, scale: 2 });
  for (const view of VIEWS) {
    const name = `${nameOf(view)}${dark ? "_dark" : ""}`;
    await check(`looks right: ${name}`, async () => {
      const [width, height] = SIZES[view[1].split("/")[0]];
      await page.setViewportSize({ width, height });
      page.faults.length = 0;
      await show(page, origin, view);
      await shot(page, name);
      // What a scheme changes is colour alone; the rest was checked in the light one.
      none(await axe(page, dark && !FULL ? ["color-contrast"] : undefined), "axe");
      none(await page.evaluate(cutText), "cut text");
      none(page.faults, "faults");
    });
  }
  await page.context().close();
}

async function eachSmall(browser, origin) {
  const page = await openPage(browser, { scale: 2 });
  for (const view of VIEWS) {
    const name = `${nameOf(view)}_small`;
    await check(`fits a small window: ${name}`, async () => {
      const [width, height] = SMALL[view[1].split("/")[0]];
      await page.setViewportSize({ width, height });
      await show(page, origin, view);
      await shot(page, name);
      none(await page.evaluate(cutText), "cut text");
    });
  }
  await page.context().close();
}

async function eachPseudo(browser, origin) {
  const page = await openPage(browser);
  for (const view of VIEWS) {
    const name = `${nameOf(view)}_pseudo`;
    await check(`speaks from the catalogue, uncut: ${name}`, async () => {
      const [width, height] = SIZES[view[1].split("/")[0]];
      await page.setViewportSize({ width, height });
      await show(page, origin, view, "&locale=en-XA");
      await shot(page, name);
      none(await page.evaluate(untranslated), "not from the catalogue");
      none(await page.evaluate(cutText), "cut text");
      const [narrow, low] = SMALL[view[1].split("/")[0]];
      await page.setViewportSize({ width: narrow, height: low });
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      none(await page.evaluate(cutText), "cut text in a small window");
    });
  }
  await page.context().close();
}

/** Ten thousand rows: few elements at any time, every row reached, and frames that keep up. */
async function scrolling(browser, origin) {
  const page = await openPage(browser, { motion: "no-preference" });
  await check("10,000 rows scroll smoothly and all are reached", async () => {
    await show(page, origin, ["thousands", "activity"]);
    const result = await page.evaluate(async () => {
      const list = document.querySelector(".virtual");
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      const times = [];
      let most = 0;
      let empty = 0;
      let last = performance.now();
      for (let step = 0; step < 240; step += 1) {
        list.scrollTop += 90;
        await frame();
        const now = performance.now();
        times.push(now - last);
        last = now;
        most = Math.max(most, list.querySelectorAll(".virtual-row").length);
        const box = list.getBoundingClientRect();
        if (!document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2)?.closest(".virtual-row")) empty += 1;
      }
      list.scrollTop = list.scrollHeight;
      for (let step = 0; step < 30; step += 1) await frame();
      list.scrollTop = list.scrollHeight;
      for (let step = 0; step < 30; step += 1) await frame();
      times.sort((a, b) => a - b);
      const rows = [...list.querySelectorAll(".virtual-row")];
      return { median: times[120], p95: times[228], most, empty, last: rows.at(-1)?.textContent ?? "", set: rows.at(-1)?.getAttribute("aria-setsize"), pos: rows.at(-1)?.getAttribute("aria-posinset") };
    });
    console.log(`     frames: median ${result.median.toFixed(1)} ms, 95 % under ${result.p95.toFixed(1)} ms; at most ${result.most} rows drawn`);
    expect(result.most < 60, `${result.most} rows are drawn at once`);
    expect(result.empty === 0, `${result.empty} frames had nothing in the middle of the list`);
    expect(result.last.includes("sample-09937.bin"), `the last row is ${result.last}`);
    expect(result.set === result.pos, "the last row's position is not that of the last");
  });
  await check("what one looks at stays in place while rows above it come and go", async () => {
    await show(page, origin, ["thousands", "activity"]);
    await page.locator(".virtual").evaluate((list) => list.scrollTo(0, 30_000));
    await page.waitForTimeout(300);
    const seen = () =>
      page.evaluate(() => {
        const box = document.querySelector(".virtual").getBoundingClientRect();
        const row = document.elementFromPoint(box.left + 60, box.top + 120).closest(".virtual-row");
        return { key: row.dataset.key, top: row.getBoundingClientRect().top };
      });
    const before = await seen();
    // Fifty rows above are done and go.
    await page.evaluate(() => window.gallery.finish(50));
    await page.waitForTimeout(500);
    const after = await page.evaluate((key) => document.querySelector(`.virtual-row[data-key="${CSS.escape(key)}"]`)?.getBoundingClientRect().top ?? null, before.key);
    expect(after !== null && Math.abs(after - before.top) < 2, `${before.key} moved from ${before.top} to ${after}`);
    const total = await page.locator(".virtual-row").first().getAttribute("aria-setsize");
    expect(Number(total) < 9_960, `the rows did not go: ${total}`);
  });
  await page.context().close();
}

/** Everything by keys alone. */
async function keyboard(browser, origin) {
  const page = await openPage(browser);
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? "");
  await check("a menu opens, moves, chooses and closes by keys", async () => {
    await show(page, origin, ["busy", "activity"]);
    await page.locator(".status-deeds [aria-haspopup=menu]").focus();
    await page.keyboard.press("Enter");
    expect((await focused()).includes("15 minutes"), `focus is on ${await focused()}`);
    await page.keyboard.press("ArrowDown");
    expect((await focused()).includes("1 hour"), `focus is on ${await focused()}`);
    await page.keyboard.press("u");
    expect((await focused()).includes("Until I resume"), `typing does not find it: ${await focused()}`);
    await page.keyboard.press("Escape");
    expect((await focused()).includes("Pause"), `Escape gives the focus to ${await focused()}`);
    expect((await page.locator("[role=menu]").count()) === 0, "the menu is still there");
  });
  await check("tabs, rows and their buttons are reached by keys", async () => {
    await show(page, origin, ["attention", "activity"]);
    await page.locator(".toolbar [role=tab]").first().focus();
    await page.keyboard.press("ArrowRight");
    expect((await page.locator("[role=tab][aria-selected=true]").textContent()) === "Saved", "the arrow does not switch the tab");
    await page.keyboard.press("ArrowLeft");
    await page.locator(".virtual-row").first().focus();
    await page.keyboard.press("End");
    await until("the last row has the focus", () => page.evaluate(() => document.activeElement?.getAttribute("aria-posinset") === document.activeElement?.getAttribute("aria-setsize")));
    await page.keyboard.press("Home");
    await until("the first row has the focus", () => page.evaluate(() => document.activeElement?.getAttribute("aria-posinset") === "1"));
    await page.keyboard.press("ArrowDown");
    await until("the second row has the focus", () => page.evaluate(() => document.activeElement?.getAttribute("aria-posinset") === "2"));
    await page.keyboard.press("Tab");
    expect((await focused()).includes("Bring them back"), `Tab goes to ${await focused()}`);
  });
  await check("a question takes the focus to Cancel, keeps it, and gives it back", async () => {
    await show(page, origin, ["attention", "activity"]);
    await DEEDS.discard(page);
    await page.locator("dialog").waitFor();
    expect((await focused()) === "Cancel", `focus is on ${await focused()}`);
    for (let i = 0; i < 4; i += 1) {
      await page.keyboard.press("Tab");
      const inside = await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest("dialog") !== null);
      expect(inside, `focus left the dialog for ${await focused()}`);
    }
    await page.keyboard.press("Escape");
    expect((await page.locator("dialog").count()) === 0, "Escape does not cancel");
  });
  await check("the owner is chosen from a listbox by keys", async () => {
    await show(page, origin, ["idle", "new-bucket"]);
    await page.locator(".popup-button").focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("w");
    const active = await page.evaluate(() => document.getElementById(document.activeElement.getAttribute("aria-activedescendant"))?.textContent);
    expect(active === "wonderland", `the active option is ${active}`);
    await page.keyboard.press("Enter");
    expect((await page.locator(".popup-button").textContent()) === "wonderland", "Enter does not choose");
  });
  await check("there is no <select> anywhere, and every focus is visible", async () => {
    for (const view of VIEWS.filter(([, , deed]) => !deed)) {
      await show(page, origin, view);
      expect((await page.locator("select").count()) === 0, `${nameOf(view)} has a <select>`);
      for (let step = 0; step < 12; step += 1) {
        await page.keyboard.press("Tab");
        const seen = await page.evaluate(() => {
          const element = document.activeElement;
          if (!element || element === document.body) return true;
          const outlined = (one) => one && getComputedStyle(one).outlineStyle !== "none" && parseFloat(getComputedStyle(one).outlineWidth) >= 2;
          return outlined(element) || outlined(element.parentElement) || outlined(element.firstElementChild);
        });
        expect(seen, `${nameOf(view)}: no visible focus on ${await focused()}`);
      }
    }
  });
  await page.context().close();
}
