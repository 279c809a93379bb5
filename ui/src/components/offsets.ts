// Where the rows of a long list stand, when only the rows in view have been measured.

export interface Row {
  key: string;
  /** Height that is taken until the row is measured. */
  estimate: number;
}

/** offsets[i] is the top of row i; the last entry is the height of the whole list. */
export function layOut(rows: readonly Row[], measured: ReadonlyMap<string, number>): Float64Array {
  const offsets = new Float64Array(rows.length + 1);
  let top = 0;
  rows.forEach((row, index) => {
    offsets[index] = top;
    top += measured.get(row.key) ?? row.estimate;
  });
  offsets[rows.length] = top;
  return offsets;
}

/** The last row whose top is at or above `position`; 0 for an empty list. */
export function rowAt(offsets: Float64Array, position: number): number {
  let low = 0;
  let high = offsets.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((offsets[middle] ?? 0) <= position) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

/** Rows to draw for a view, with some more at both ends; `to` is exclusive. */
export function visible(offsets: Float64Array, top: number, height: number, extra: number): { from: number; to: number } {
  const count = offsets.length - 1;
  if (count <= 0) return { from: 0, to: 0 };
  return {
    from: Math.max(0, rowAt(offsets, top) - extra),
    to: Math.min(count, rowAt(offsets, top + height) + 1 + extra),
  };
}
