// The host inside the app: every command through the shell's one Tauri command, events as the Tauri event `engine`.
import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { AppEvent, Commands } from "../api/engine";
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

export function tauriHost(): Host {
  return {
    async call<C extends CommandName>(command: C, args: Commands[C]["args"]) {
      try {
        return await invoke<Commands[C]["answer"]>("call", { name: command, args });
      } catch (error) {
        throw asAppError(error);
      }
    },
    listen: (onEvent, onLink) => on<AppEvent>("engine", onEvent, onLink),
    listenOpenEntry: (onEntry) => on<number>("open_entry", onEntry, () => undefined),
    openPage: (page: PageName) => void invoke("open_page", { page }).catch(() => undefined),
    closePage: () => void invoke("close_page").catch(() => undefined),
    openSignIn: null,
    pickFolder: (start) => invoke<string | null>("pick_folder", { start }),
    helper: {
      state: () => invoke<HelperState>("helper_status"),
      register: () => invoke<void>("helper_register"),
      openSettings: () => invoke<void>("helper_open_settings"),
    },
  };
}
