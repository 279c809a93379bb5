// The host inside the app: every command through the shell's one Tauri command, events as the Tauri event `engine`.
import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { AppEvent, Commands, HelperStatus } from "../api/engine";
import { asAppError, type CommandName, type HelperState, type Host, type PageName } from "./host";

/** Listens until the returned function is called, also when that comes before the listening has begun. */
function on<T>(name: string, take: (payload: T) => void, begun: (well: boolean) => void): () => void {
  let ended = false;
  let stop: (() => void) | undefined;
  listen<T>(name, (event) => take(event.payload)).then(
    (unlisten) => {
      stop = unlisten;
      if (ended) unlisten();
      else begun(true);
    },
    () => begun(false),
  );
  return () => {
    ended = true;
    stop?.();
  };
}

async function call<C extends CommandName>(command: C, args: Commands[C]["args"]): Promise<Commands[C]["answer"]> {
  try {
    return await invoke<Commands[C]["answer"]>("call", { name: command, args });
  } catch (error) {
    throw asAppError(error);
  }
}

/** One that does not answer is asked for again, which mends it. */
function stateOf(status: HelperStatus): HelperState {
  if (status === "unmanaged") throw asAppError(new Error("There is no helper here."));
  return status === "broken" ? "not_registered" : status;
}

export function tauriHost(): Host {
  return {
    call,
    listen: (onEvent, onLink) => on<AppEvent>("engine", onEvent, onLink),
    listenOpenEntry: (onEntry) => on<number>("open_entry", onEntry, () => undefined),
    openPage: (page: PageName) => void invoke("open_page", { page }).catch(() => undefined),
    closePage: () => void invoke("close_page").catch(() => undefined),
    openSignIn: null,
    pickFolder: (start) => invoke<string | null>("pick_folder", { start }),
    helper: {
      state: async () => stateOf((await call("helper_status", {})).status),
      register: async () => void (await call("helper_register", {})),
      openSettings: async () => void (await call("helper_open_settings", {})),
    },
  };
}
