// Run inside the page: text that is not in the catalogue, and text that is cut.

/** Visible words without the pseudo-locale's marks that are neither the user's nor the engine's. */
export function untranslated() {
  const found = [];
  const mine = (node) => (node.nodeType === 1 ? node : node.parentElement)?.closest("[data-user]");
  // What stands in ⟦…⟧ is from the catalogue; figures and signs need none. Names filled in are inside the marks.
  const bare = (text) => {
    // From the inside out: a message may stand in another.
    for (let before = ""; before !== text; ) [before, text] = [text, text.replace(/⟦[^⟦⟧]*⟧/g, "")];
    return text;
  };
  const bad = (text) => /\p{L}{2,}/u.test(bare(text).replace(/\d+([.,]\d+)*\s?\p{L}{1,6}(\/s)?/gu, ""));
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (mine(node)) continue;
    if (node.nodeType === 3) {
      const text = node.textContent.trim();
      if (text && !node.parentElement.closest("time, output, .numeric, .section-title, script, style") && bad(text)) found.push(text);
      continue;
    }
    const dated = node.closest("time, .numeric") !== null;
    for (const name of ["aria-label", "title", "placeholder", "alt", "aria-valuetext"]) {
      const text = node.getAttribute(name);
      if (text && bad(text) && !(name === "title" && dated)) found.push(`${name}=${text}`);
    }
  }
  if (bad(document.title)) found.push(`title=${document.title}`);
  return [...new Set(found)];
}

/** Elements whose words do not fit, unless they are names that may be cut, and boxes that stick out of the window. */
export function cutText() {
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    if (element.closest("[data-may-cut], .hidden-text, svg, .virtual-inner > [aria-busy]")) continue;
    const style = getComputedStyle(element);
    if (style.visibility === "hidden" || element.getClientRects().length === 0) continue;
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const box = element.getBoundingClientRect();
    const where = `${element.tagName.toLowerCase()}.${element.className}: ${element.textContent.trim().slice(0, 60)}`;
    const scrolls = /auto|scroll/.test(style.overflowX + style.overflowY);
    if (own && !scrolls && style.overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1) found.push(`cut: ${where}`);
    if (element.tagName === "BUTTON" && element.scrollWidth > element.clientWidth + 1) found.push(`too wide for its button: ${where}`);
    const scroller = element.parentElement?.closest(".sidebar, .settings-side");
    if (own && !scroller && (box.right > innerWidth + 1 || box.left < -1)) found.push(`out of the window: ${where} (${Math.round(box.left)}–${Math.round(box.right)} of ${innerWidth})`);
    // A scroller of the other direction must not scroll sideways.
    if (scrolls && !element.closest(".sidebar, .settings-side") && element.scrollWidth > element.clientWidth + 1) found.push(`scrolls sideways: ${where}`);
  }
  return [...new Set(found)];
}
