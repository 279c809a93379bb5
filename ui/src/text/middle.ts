// Splits a name for truncation in its middle: the head may be cut by the page, the tail never is.

const TAIL = 12;
const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** The tail holds the extension and a few letters before it; no letter with its accents or emoji is split. */
export function splitName(name: string): [head: string, tail: string] {
  const letters = Array.from(segmenter.segment(name), (part) => part.segment);
  if (letters.length <= TAIL * 2) return [name, ""];
  return [letters.slice(0, -TAIL).join(""), letters.slice(-TAIL).join("")];
}

/** "a/b/c.txt" is the file "c.txt" in "a/b". */
export function splitPath(path: string): { folder: string; name: string } {
  const cut = path.replace(/\/+$/, "").lastIndexOf("/");
  return cut < 0 ? { folder: "", name: path } : { folder: path.slice(0, cut), name: path.slice(cut + 1) };
}
