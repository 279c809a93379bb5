export const PANES = ["general", "accounts", "transfers", "storage", "notifications", "advanced"] as const;
export type Pane = (typeof PANES)[number];
