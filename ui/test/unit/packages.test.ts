// What is installed: few packages, exact versions, licences that allow what we do with them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const read = (name: string) => JSON.parse(readFileSync(join(import.meta.dirname, "../..", name), "utf8"));
const wanted = read("package.json");
const locked: Record<string, { version: string; license?: string; dev?: boolean }> = read("package-lock.json").packages;

// MPL-2.0 is weak copyleft: axe-core and lightningcss, both for development only.
const ALLOWED = ["MIT", "Apache-2.0", "ISC", "BSD-3-Clause", "0BSD", "Apache-2.0 OR MIT"];
const ALLOWED_FOR_DEVELOPMENT = [...ALLOWED, "MPL-2.0"];

describe("the packages", () => {
  it("are pinned to exact versions", () => {
    for (const [name, version] of Object.entries({ ...wanted.dependencies, ...wanted.devDependencies })) expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it("that ship are two", () => {
    const shipped = Object.entries(locked).filter(([path, one]) => path !== "" && !one.dev);
    expect(shipped.map(([path]) => path.replace("node_modules/", "")).sort()).toEqual(["@tauri-apps/api", "preact"]);
  });

  it("have permissive licences", () => {
    for (const [path, one] of Object.entries(locked)) if (path !== "") expect(one.dev ? ALLOWED_FOR_DEVELOPMENT : ALLOWED, path).toContain(one.license);
  });
});
