// Server-sent events out of a stream of text: what `EventSource` does, but it cannot send an Authorization header.

/** Cuts a growing text into events; what is not complete yet is kept for the next piece. */
export function makeSseParser(onData: (data: string) => void): (piece: string) => void {
  let rest = "";
  return (piece) => {
    rest += piece;
    const events = rest.split(/\r?\n\r?\n/);
    rest = events.pop() ?? "";
    for (const event of events) {
      const data = event
        .split(/\r?\n/)
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).replace(/^ /, ""));
      if (data.length > 0) onData(data.join("\n"));
    }
  };
}
