import { describe, expect, it } from "vitest";
import { nameFault } from "../../src/state/bucket-name";
import { parseRoute } from "../../src/state/route";
import { splitName, splitPath } from "../../src/text/middle";

describe("a name cut in its middle", () => {
  it("stays whole when it is short", () => expect(splitName("short.txt")).toEqual(["short.txt", ""]));

  it("keeps its extension", () => {
    const name = `${"x".repeat(80)}-final.safetensors`;
    const [head, tail] = splitName(name);
    expect(head + tail).toBe(name);
    expect(tail).toBe(".safetensors");
  });

  it("never splits a letter with its accents, nor an emoji of several parts", () => {
    const name = "e\u0301".repeat(40) + "👩‍👩‍👧‍👦".repeat(12);
    const [head, tail] = splitName(name);
    expect(head + tail).toBe(name);
    expect(tail).toBe("👩‍👩‍👧‍👦".repeat(12));
    expect(head.endsWith("\u0301")).toBe(true);
  });
});

describe("a path", () => {
  it("is a folder and a name", () => {
    expect(splitPath("a/b/c.txt")).toEqual({ folder: "a/b", name: "c.txt" });
    expect(splitPath("c.txt")).toEqual({ folder: "", name: "c.txt" });
  });
});

describe("a bucket's name", () => {
  it.each([
    ["models", null],
    ["a.b-c_d", null],
    ["", "empty"],
    ["no spaces", "letters"],
    ["ümlaut", "letters"],
    ["a/b", "letters"],
    ["-a", "ends"],
    ["a.", "ends"],
    ["a--b", "ends"],
    ["a..b", "ends"],
    ["x".repeat(97), "long"],
  ])("%s: %s", (name, fault) => expect(nameFault(name)).toBe(fault));
});

describe("an address", () => {
  it.each([
    ["", { page: "activity", pane: "general", entry: null }],
    ["#/activity/17", { page: "activity", pane: "general", entry: 17 }],
    ["#/activity/x", { page: "activity", pane: "general", entry: null }],
    ["#/settings/storage", { page: "settings", pane: "storage", entry: null }],
    ["#/settings/nonsense", { page: "settings", pane: "general", entry: null }],
    ["#/offline", { page: "offline", pane: "general", entry: null }],
    ["#/new-bucket", { page: "new-bucket", pane: "general", entry: null }],
    ["#/../../etc/passwd", { page: "activity", pane: "general", entry: null }],
  ])("%s leads somewhere", (hash, route) => expect(parseRoute(hash)).toEqual(route));
});
