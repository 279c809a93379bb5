// Which page the address names, and what is shown while there is nothing to show.
import { useEffect, useState } from "preact/hooks";
import { Button } from "./components/button";
import { useTexts } from "./components/context";
import { Banner, Empty } from "./components/parts";
import { useModel, useView } from "./state/hooks";
import { parseRoute } from "./state/route";
import { ActivityPage } from "./pages/activity/activity";
import { NewBucketPage } from "./pages/new-bucket";
import { OfflinePage } from "./pages/offline";
import { SettingsPage } from "./pages/settings/settings";
import { WelcomePage } from "./pages/welcome/welcome";

export function App() {
  const { t } = useTexts();
  const { host, run } = useModel();
  const view = useView();
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const moved = () => setRoute(parseRoute(location.hash));
    window.addEventListener("hashchange", moved);
    const unlisten = host.listenOpenEntry((entry) => {
      location.hash = `#/activity/${entry}`;
    });
    return () => {
      window.removeEventListener("hashchange", moved);
      unlisten();
    };
  }, []);
  useEffect(() => {
    document.title = t(`title.${route.page}`);
    // A window that is opened is a moment to look whether things outside are as they were.
    void host.call("check", {}).catch(() => undefined);
  }, [route.page]);

  if (view.ended) return <Alone icon="saved" title={t("ended.title")} text={t("ended.text")} />;
  if (!view.app)
    return view.fatal ? (
      <main class="alone">
        <Empty alone icon="offline" title={t("fatal.title")} actions={<Button onClick={() => run("check", {})}>{t("common.tryAgain")}</Button>}>
          <p data-user class="selectable">
            {view.fatal.what} {view.fatal.advice}
          </p>
        </Empty>
      </main>
    ) : (
      <Alone icon="bucket" title={t("loading")} />
    );
  return (
    <>
      {!(view.answering && view.linked) && (
        <div class="link-lost">
          <Banner tone="warn" icon="offline">
            <p>{t("link.lost")}</p>
          </Banner>
        </div>
      )}
      {route.page === "activity" && <ActivityPage app={view.app} reveal={route.entry} />}
      {route.page === "settings" && <SettingsPage app={view.app} pane={route.pane} />}
      {route.page === "welcome" && <WelcomePage app={view.app} />}
      {route.page === "new-bucket" && <NewBucketPage app={view.app} />}
      {route.page === "offline" && <OfflinePage />}
    </>
  );
}

function Alone({ icon, title, text }: { icon: "saved" | "bucket"; title: string; text?: string }) {
  return (
    <main class="alone">
      <Empty alone icon={icon} title={title}>
        {text && <p>{text}</p>}
      </Empty>
    </main>
  );
}
