// The queue may have ten thousand rows: the pages that somebody looks at are kept fresh, the others as they were
// when last seen, until they come into view again.
import type { QueuePage, QueueRow } from "../api/engine";

export const PAGE = 200;

export interface QueueCache {
  total: number;
  /** By page number. */
  pages: ReadonlyMap<number, readonly QueueRow[]>;
  /** Pages that show the queue as it is now. */
  fresh: ReadonlySet<number>;
  /** How often it was overtaken: an answer to a question of before shows what was, and is asked again. */
  overtaken: number;
}

export const emptyQueue: QueueCache = { total: 0, pages: new Map(), fresh: new Set(), overtaken: 0 };

/** Takes a page in that was asked for when the cache had been `overtaken` so often. */
export function putPage(cache: QueueCache, page: QueuePage, overtaken = cache.overtaken): QueueCache {
  const number = Math.floor(page.offset / PAGE);
  const pages = new Map(cache.pages);
  pages.set(number, page.rows);
  const count = Math.ceil(page.total / PAGE);
  for (const known of [...pages.keys()]) if (known >= count) pages.delete(known);
  const fresh = new Set([...cache.fresh].filter((known) => known < count));
  if (overtaken === cache.overtaken) fresh.add(number);
  return { ...cache, total: page.total, pages, fresh };
}

/** Everything was overtaken by an event. */
export const allStale = (cache: QueueCache): QueueCache => ({ ...cache, fresh: new Set(), overtaken: cache.overtaken + 1 });

/** The row at an index, or null while its page was never fetched. */
export function rowAtIndex(cache: QueueCache, index: number): QueueRow | null {
  return cache.pages.get(Math.floor(index / PAGE))?.[index % PAGE] ?? null;
}

/** The first page (what needs somebody and what moves) and those in view that are not fresh, in that order. */
export function pagesToFetch(cache: QueueCache, from: number, to: number): number[] {
  const last = Math.max(0, Math.ceil(cache.total / PAGE) - 1);
  const wanted = new Set([0]);
  const end = Math.min(last, Math.floor(Math.max(from, to - 1) / PAGE));
  for (let page = Math.floor(from / PAGE); page <= end; page += 1) wanted.add(page);
  return [...wanted].filter((page) => !cache.fresh.has(page));
}
