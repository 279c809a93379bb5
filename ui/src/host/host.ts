// What the pages need from the world. There are two hosts: the app's shell (Tauri) and the engine's own HTTP API in a
// plain browser; a third, scripted one is for component states in tests.
import type { AppError, AppEvent, Commands } from "../api/engine";

export type CommandName = keyof Commands;

export type PageName = "activity" | "settings" | "welcome" | "new-bucket" | "offline";

export type HelperState = "enabled" | "requires_approval" | "not_registered" | "not_found";

export interface Helper {
  state(): Promise<HelperState>;
  register(): Promise<void>;
  openSettings(): Promise<void>;
}

export interface Host {
  /** Rejects with an [`AppError`], nothing else. */
  call<C extends CommandName>(command: C, args: Commands[C]["args"]): Promise<Commands[C]["answer"]>;
  /** Events until the returned function is called. `link` tells whether events can come at all. */
  listen(onEvent: (event: AppEvent) => void, onLink: (connected: boolean) => void): () => void;
  /** Shows a page: another window of the app, or the same one of a browser. */
  openPage(page: PageName): void;
  /** Ends the window the page is in; a browser goes to the activity. */
  closePage(): void;
  /** A notification was clicked: its row is wanted. */
  listenOpenEntry(onEntry: (entry: number) => void): () => void;
  /** Opens the Hub's sign-in page for the person; null where only the engine may open a browser. */
  openSignIn: ((url: string) => void) | null;
  /** Lets the person choose a folder. Rejects where there is no such dialog. */
  pickFolder?: (start: string) => Promise<string | null>;
  /** The privileged helper that mounts. Its calls reject where there is none. */
  helper?: Helper;
}

const isAppError = (value: unknown): value is AppError =>
  typeof value === "object" && value !== null && "code" in value && "what" in value;

/** Whatever was thrown, as an error with sentences. */
export function asAppError(value: unknown): AppError {
  if (isAppError(value)) return { ...value, advice: value.advice ?? "", may_retry: value.may_retry ?? false };
  const what = value instanceof Error ? value.message : String(value);
  return { code: "internal", what, advice: "", may_retry: false };
}
