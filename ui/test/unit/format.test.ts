import { describe, expect, it } from "vitest";
import { bytes, day, duration, moment, percent } from "../../src/text/format";

describe("sizes", () => {
  it.each([
    [0, "0 bytes"],
    [1, "1 byte"],
    [999, "999 bytes"],
    [1000, "1 kB"],
    [1550, "1.6 kB"],
    [99_949, "99.9 kB"],
    [99_951, "100 kB"],
    [999_499, "999 kB"],
    [999_500, "1 MB"],
    [3_400_000_000, "3.4 GB"],
    [123_456_789, "123 MB"],
    [4_800_000_000_000, "4.8 TB"],
    [-5, "0 bytes"],
  ])("%d is %s", (count, text) => expect(bytes(count, "en-US")).toBe(text));

  it("are written as the locale writes them", () => {
    expect(bytes(3_400_000_000, "de-DE")).toMatch(/^3,4\sGB$/);
    expect(bytes(3_400_000, "fr-FR")).toContain("Mo");
  });
});

describe("shares", () => {
  it("never call done what is not", () => {
    expect(percent(9_999, 10_000, "en")).toBe("99%");
    expect(percent(10_000, 10_000, "en")).toBe("100%");
    expect(percent(5, 0, "en")).toBe("0%");
  });
});

describe("spans", () => {
  it.each([
    [0, "1 sec"],
    [59.4, "59 sec"],
    [59.6, "1 min"],
    [3569, "59 min"],
    [3600, "1 hr"],
    [7800, "2 hr 10 min"],
    [86_400, "1 day"],
    [300_000, "3 days"],
  ])("%d seconds are %s", (seconds, text) => expect(duration(seconds, "en")).toBe(text));
});

describe("moments", () => {
  const now = new Date(2026, 10, 24, 14, 2).getTime();
  const at = (d: number, h: number) => new Date(2026, 10, d, h, 5).getTime();
  const plain = (text: string) => text.replace(/\s/g, " ");

  it("are as short as they can be understood", () => {
    expect(plain(moment(at(24, 9), now, "en-US"))).toBe("9:05 AM");
    expect(plain(moment(at(23, 9), now, "en-US"))).toBe("Yesterday 9:05 AM");
    expect(plain(moment(at(20, 9), now, "en-US"))).toBe("Nov 20, 9:05 AM");
    expect(plain(moment(new Date(2025, 0, 2, 9, 5).getTime(), now, "en-US"))).toBe("Jan 2, 2025, 9:05 AM");
    expect(moment(at(24, 9), now, "de-DE")).toMatch(/^0?9:05$/);
  });

  it("have a day, over the change of a month too", () => {
    expect(day(at(24, 0), now, "en")).toBe("Today");
    expect(day(at(23, 23), now, "de")).toBe("Gestern");
    expect(day(new Date(2026, 10, 30).getTime(), new Date(2026, 11, 1).getTime(), "en")).toBe("Yesterday");
    expect(day(at(20, 1), now, "en-US")).toBe("Friday, November 20");
  });
});
