import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeTexts, textsFor, type Message } from "../../src/text/catalogue";
import { en } from "../../src/text/en";
import { pseudo } from "../../src/text/pseudo";

const names = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

describe("the catalogue", () => {
  it("chooses the plural by the count, and writes it as the locale does", () => {
    const { t } = textsFor("en-US");
    expect(t("bucket.files", { count: 1 })).toBe("1 file");
    expect(t("bucket.files", { count: 0 })).toBe("0 files");
    expect(t("bucket.files", { count: 92_411 })).toBe("92,411 files");
    expect(textsFor("de-DE").t("bucket.files", { count: 92_411 })).toBe("92.411 files");
  });

  it("fills names in as they are, also when they look like names of values", () => {
    const { t } = textsFor("en");
    expect(t("row.progressOf", { name: "a{name}$&.txt" })).toBe("Upload of a{name}$&.txt");
  });

  it("has the same values in every plural form", () => {
    for (const [key, message] of Object.entries(en) as [string, Message][]) {
      if (typeof message === "string") continue;
      for (const form of Object.values(message)) expect(names(form), key).toEqual(names(message.other));
    }
  });

  it("has no message that nobody uses", () => {
    const source = sources(join(import.meta.dirname, "../../src"))
      .filter((file) => !file.endsWith("en.ts"))
      .map((file) => readFileSync(file, "utf8"))
      .join("\n");
    const built = [...source.matchAll(/`([a-z][\w.]*)\.\$\{/gi)].map((match) => `${match[1]}.`);
    const unused = Object.keys(en).filter((key) => !source.includes(`"${key}"`) && !built.some((prefix) => key.startsWith(prefix)));
    expect(unused).toEqual([]);
  });

  it("keeps the values of a pseudo message, and marks and lengthens it", () => {
    for (const message of Object.values(en) as Message[])
      for (const text of typeof message === "string" ? [message] : Object.values(message)) {
        const other = pseudo(text);
        expect(names(other)).toEqual(names(text));
        expect(other).toMatch(/^⟦.*⟧$/);
        expect(other.length).toBeGreaterThan(text.length * 1.3);
      }
    expect(makeTexts(en, "en", pseudo).t("row.retry")).toBe("⟦Ŕéţŕý one⟧");
  });
});

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sources(path) : /\.tsx?$/.test(path) ? [path] : [];
  });
}
