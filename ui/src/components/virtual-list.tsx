// A list that draws only what is in view: 10,000 rows scroll as ten do.
// Rows may have any height: each is measured once it is drawn, and what the person looks at stays where it is while
// rows above it change (WebKit has no scroll anchoring for that).
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { layOut, rowAt, visible, type Row } from "./offsets";

const EXTRA = 6;

interface VirtualListProps<R extends Row> {
  label: string;
  rows: readonly R[];
  render: (row: R) => ComponentChildren;
  /** A row to bring into view and focus once, as when a notification is clicked. */
  reveal?: string | null;
  /** Told which rows are drawn. */
  onRange?: (from: number, to: number) => void;
}

export function VirtualList<R extends Row>({ label, rows, render, reveal, onRange }: VirtualListProps<R>) {
  const box = useRef<HTMLDivElement>(null);
  const measured = useRef(new Map<string, number>());
  const [version, setVersion] = useState(0);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [active, setActive] = useState(0);
  const offsets = useMemo(() => layOut(rows, measured.current), [rows, version]);
  const { from, to } = visible(offsets, view.top, view.height, EXTRA);

  useAnchor(box, rows, offsets, (top) => setView((old) => ({ ...old, top })));
  const observe = useMeasure(measured, () => setVersion((v) => v + 1));

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const look = () => setView({ top: element.scrollTop, height: element.clientHeight });
    look();
    const size = new ResizeObserver(look);
    size.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      size.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, []);

  useEffect(() => onRange?.(from, to), [onRange, from, to]);

  const focusRow = useCallback(
    (index: number) => {
      const element = box.current;
      if (!element) return;
      setActive(index);
      const top = offsets[index] ?? 0;
      const bottom = offsets[index + 1] ?? top;
      if (top < element.scrollTop) element.scrollTop = top;
      else if (bottom > element.scrollTop + element.clientHeight) element.scrollTop = bottom - element.clientHeight;
      // The row may be drawn only after the scroll.
      requestAnimationFrame(() => requestAnimationFrame(() => element.querySelector<HTMLElement>(`[data-index="${index}"]`)?.focus()));
    },
    [offsets],
  );

  useEffect(() => {
    const index = reveal ? rows.findIndex((row) => row.key === reveal) : -1;
    if (index >= 0) focusRow(index);
  }, [reveal]);

  const key = (event: KeyboardEvent) => {
    const target = event.target as HTMLElement;
    if (!target.hasAttribute("data-index")) return;
    const next = rowKey(event.key, Number(target.dataset["index"]), rows.length, Math.max(1, to - from - 2 * EXTRA - 1));
    if (next === null) return;
    event.preventDefault();
    focusRow(next);
  };

  return (
    <div class="virtual" ref={box} tabIndex={-1} onKeyDown={key}>
      <div class="virtual-inner" role="list" aria-label={label} style={{ height: `${offsets[rows.length] ?? 0}px` }}>
        {rows.slice(from, to).map((row, step) => {
          const index = from + step;
          return (
            <div
              key={row.key}
              ref={observe}
              class="virtual-row"
              role="listitem"
              aria-setsize={rows.length}
              aria-posinset={index + 1}
              data-index={index}
              data-key={row.key}
              tabIndex={index === Math.min(Math.max(active, from), to - 1) ? 0 : -1}
              style={{ transform: `translateY(${offsets[index] ?? 0}px)` }}
              onFocus={() => setActive(index)}
            >
              {render(row)}
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** The row that a key leads to from `at`; null for other keys. */
export function rowKey(key: string, at: number, count: number, page: number): number | null {
  const to = (index: number) => Math.min(count - 1, Math.max(0, index));
  switch (key) {
    case "ArrowDown":
      return to(at + 1);
    case "ArrowUp":
      return to(at - 1);
    case "PageDown":
      return to(at + page);
    case "PageUp":
      return to(at - page);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}

/** How many rows from the first in view on are remembered: if one goes, the next holds the place. */
const ANCHORS = 12;

/** Keeps what is in view where it is when rows above it come, go, or turn out higher than thought. */
function useAnchor(box: { current: HTMLDivElement | null }, rows: readonly Row[], offsets: Float64Array, moved: (top: number) => void) {
  const anchors = useRef<{ key: string; within: number }[]>([]);
  const before = useRef(offsets);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    if (before.current !== offsets && element.scrollTop > 0) {
      const wanted = placeOf(anchors.current, rows, offsets);
      if (wanted !== null && Math.abs(wanted - element.scrollTop) > 0.5) {
        element.scrollTop = wanted;
        moved(element.scrollTop);
      }
    }
    before.current = offsets;
    const first = rowAt(offsets, element.scrollTop);
    anchors.current = rows.slice(first, first + ANCHORS).map((row, step) => ({ key: row.key, within: element.scrollTop - (offsets[first + step] ?? 0) }));
  });
}

/** Where the list must be scrolled to, so that the first remembered row that is still there stands where it stood. */
function placeOf(anchors: readonly { key: string; within: number }[], rows: readonly Row[], offsets: Float64Array): number | null {
  for (const { key, within } of anchors) {
    const index = rows.findIndex((row) => row.key === key);
    if (index >= 0) return (offsets[index] ?? 0) + within;
  }
  return null;
}

/** A ref for rows: notes each row's real height, and tells when one changed. */
function useMeasure(measured: { current: Map<string, number> }, changed: () => void) {
  const observer = useMemo(
    () =>
      new ResizeObserver((entries) => {
        let different = false;
        for (const entry of entries) {
          const element = entry.target as HTMLElement;
          const key = element.dataset["key"];
          const height = element.offsetHeight;
          if (!key || height === 0 || measured.current.get(key) === height) continue;
          measured.current.set(key, height);
          different = true;
        }
        if (different) changed();
      }),
    [],
  );
  useEffect(() => () => observer.disconnect(), []);
  return useCallback((element: HTMLDivElement | null) => {
    if (!element) return undefined;
    observer.observe(element);
    return () => observer.unobserve(element);
  }, []);
}
