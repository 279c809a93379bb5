// The address's fragment: "#/activity/17", "#/settings/accounts", "#/welcome", "#/new-bucket", "#/offline".
import type { PageName } from "../host/host";
import { PANES, type Pane } from "../pages/settings/panes";

export interface Route {
  page: PageName;
  pane: Pane;
  /** The row of the Activity that is to be brought into view. */
  entry: number | null;
}

const PAGES: readonly PageName[] = ["activity", "settings", "welcome", "new-bucket", "offline"];

/** Whatever it says, it leads somewhere: what is not known is the activity. */
export function parseRoute(hash: string): Route {
  const [first, second] = hash.replace(/^#\/?/, "").split("/");
  const page = PAGES.find((name) => name === first) ?? "activity";
  const entry = page === "activity" && second !== undefined && /^\d+$/.test(second) ? Number(second) : null;
  const pane = (page === "settings" && PANES.find((name) => name === second)) || "general";
  return { page, pane, entry };
}
