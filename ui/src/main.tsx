import { httpHost, takeToken } from "./host/http";
import { tauriHost } from "./host/tauri";
import { start } from "./start";

const root = document.getElementById("app");
// The shell puts its bridge there before any script of a page runs; a plain browser has none.
const host = "__TAURI_INTERNALS__" in window ? tauriHost() : httpHost(location.origin, takeToken() ?? "");
if (root) start(host, root);
