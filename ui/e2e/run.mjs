// npm run e2e [gallery|product]: the pages in Chromium. Pictures go to target/ui-shots.
import { close, startBrowser } from "./lib.mjs";
import { gallery } from "./gallery.mjs";
import { product } from "./product.mjs";

const wanted = process.argv.slice(2);
const browser = await startBrowser();
try {
  if (wanted.length === 0 || wanted.includes("gallery")) await gallery(browser);
  if (wanted.length === 0 || wanted.includes("product")) await product(browser);
} finally {
  await browser.close();
}
close();
