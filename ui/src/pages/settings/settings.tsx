// Settings: panes at the side (above, where it is narrow). Each change is kept at once; the engine's answer is shown.
import { useRef } from "preact/hooks";
import type { AppState, Settings } from "../../api/engine";
import { Tabs } from "../../components/choices";
import { useTexts } from "../../components/context";
import { Icon, type IconName } from "../../components/icons";
import { Problem } from "../../components/problem";
import { useModel } from "../../state/hooks";
import { AccountsPane } from "./accounts";
import { AdvancedPane } from "./advanced";
import { GeneralPane } from "./general";
import { NotificationsPane } from "./notifications";
import { PANES, type Pane } from "./panes";
import { StoragePane } from "./storage";
import { TransfersPane } from "./transfers";


const PANE_ICON: Record<Pane, IconName> = { general: "settings", accounts: "person", transfers: "transfer", storage: "disk", notifications: "bell", advanced: "wrench" };

export interface PaneProps {
  app: AppState;
  /** Keeps some settings; true when the engine took them. */
  change: (change: Partial<Settings>) => Promise<boolean>;
}

/** Which pane is shown stands in the address. */
export function SettingsPage({ app, pane }: { app: AppState; pane: Pane }) {
  const { t } = useTexts();
  const { run } = useModel();
  // One after another: what was chosen last is what is kept.
  const last = useRef<Promise<unknown>>(Promise.resolve());
  const change = (part: Partial<Settings>) => {
    const done = last.current.then(async () => (await run("set_settings", { change: part })) !== null);
    last.current = done;
    return done;
  };
  const props: PaneProps = { app, change };
  return (
    <div class="settings">
      <nav class="settings-side" aria-label={t("nav.settings")}>
        <Tabs<Pane>
          label={t("nav.settings")}
          panel="settings-panel"
          className="side-tabs"
          vertical
          value={pane}
          onChange={(next) => (location.hash = `#/settings/${next}`)}
          options={PANES.map((value) => ({ value, label: t(`pane.${value}`) }))}
          render={(option) => (
            <>
              <Icon name={PANE_ICON[option.value]} size={18} />
              <span>{option.label}</span>
            </>
          )}
        />
      </nav>
      <main class="settings-page">
        <div class="settings-main" id="settings-panel" role="tabpanel" aria-labelledby={`settings-panel-tab-${pane}`} tabIndex={0}>
          <h1>{t(`pane.${pane}`)}</h1>
          <Problem />
          {pane === "general" && <GeneralPane {...props} />}
          {pane === "accounts" && <AccountsPane {...props} />}
          {pane === "transfers" && <TransfersPane {...props} />}
          {pane === "storage" && <StoragePane {...props} />}
          {pane === "notifications" && <NotificationsPane {...props} />}
          {pane === "advanced" && <AdvancedPane {...props} />}
        </div>
      </main>
    </div>
  );
}
