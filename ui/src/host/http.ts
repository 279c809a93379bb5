// The host of a plain browser: the engine's own HTTP API on the loopback address that served the page.
import type { AppEvent, Commands } from "../api/engine";
import { asAppError, type CommandName, type Host } from "./host";
import { makeSseParser } from "./sse";

const RECONNECT_MS = 1500;
/** Longer than any command may take; the engine has shorter bounds of its own. */
const DEADLINE_MS = 120_000;

export function httpHost(origin: string, token: string): Host {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  return {
    async call<C extends CommandName>(command: C, args: Commands[C]["args"]) {
      let response: Response;
      try {
        const body = JSON.stringify(args);
        response = await fetch(`${origin}/api/call/${command}`, { method: "POST", headers, body, signal: AbortSignal.timeout(DEADLINE_MS) });
      } catch (error) {
        throw { ...asAppError(error), code: "offline", what: "The engine does not answer.", may_retry: true };
      }
      const answer: unknown = await response.json().catch(() => null);
      if (!response.ok) throw asAppError(answer ?? new Error(`The engine answered ${response.status}.`));
      return answer as Commands[C]["answer"];
    },
    listen(onEvent, onLink) {
      const ending = new AbortController();
      void follow(`${origin}/api/events`, headers, ending.signal, onEvent, onLink);
      return () => ending.abort();
    },
    listenOpenEntry: () => () => undefined,
    openPage: (page) => {
      location.hash = `#/${page}`;
    },
    closePage: () => {
      location.hash = "#/activity";
    },
    openSignIn: (url) => void window.open(url, "_blank", "noopener"),
  };
}

/** Follows the stream, and begins again when it breaks, until it is told to end. */
async function follow(url: string, headers: Record<string, string>, ending: AbortSignal, onEvent: (event: AppEvent) => void, onLink: (connected: boolean) => void) {
  while (!ending.aborted) {
    try {
      const response = await fetch(url, { headers, signal: ending });
      if (!response.ok || !response.body) throw new Error(`events: ${response.status}`);
      onLink(true);
      const parse = makeSseParser((data) => onEvent(JSON.parse(data) as AppEvent));
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) parse(part.value);
    } catch {
      // A broken stream is told by `onLink`, and tried again.
    }
    if (ending.aborted) return;
    onLink(false);
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

const KEPT = "bucketbar-token";

/** The token from `#token=…`, taken out of the address at once and kept for a reload of this tab. */
export function takeToken(): string | null {
  const match = /[#&]token=([^&]+)/.exec(location.hash);
  if (match?.[1]) {
    sessionStorage.setItem(KEPT, decodeURIComponent(match[1]));
    const rest = location.hash.replace(/[#&]token=[^&]+/, "").replace(/^&/, "#");
    history.replaceState(null, "", rest === "" ? "#/activity" : rest);
  }
  return sessionStorage.getItem(KEPT);
}
