// The real pages over a scripted engine: `gallery.html?state=NAME#/PAGE` shows a state that is hard to reach.
// Never a proof of the paths themselves: e2e/product.mjs walks those with the real engine.
import { start } from "../../src/start";
import { scriptedHost } from "./scripted-host";
import { STATES } from "./states";

const name = new URLSearchParams(location.search).get("state") ?? "busy";
const make = STATES[name];
const root = document.getElementById("app");
if (!make || !root) throw new Error(`no state ${name}`);
const host = scriptedHost(make());
start(host, root);
// For tests that change what is shown.
Object.assign(window, { gallery: host });
