// Whether buckets are volumes of their own, which the root helper makes (macOS).
import { useEffect, useState } from "preact/hooks";
import type { Helper } from "../../api/engine";
import { Button } from "../../components/button";
import { useTexts } from "../../components/context";
import { useModel } from "../../state/hooks";

/** The person may be in the system's settings meanwhile. */
const POLL_MS = 2000;

export function VolumesLine() {
  const { t } = useTexts();
  const { host, run } = useModel();
  const [helper, setHelper] = useState<Helper | null>(null);
  const there = helper?.status !== undefined && helper.status !== "unmanaged";
  const ask = () => host.call("helper_status", {}).then(setHelper, () => setHelper(null));
  useEffect(() => void ask(), []);
  useEffect(() => {
    if (!there) return;
    const timer = setInterval(ask, POLL_MS);
    return () => clearInterval(timer);
  }, [there]);
  if (!helper || !there) return null;
  const { status } = helper;
  const act = async () => {
    await (status === "requires_approval" ? run("helper_open_settings", {}) : run("helper_register", {}));
    await ask();
  };
  return (
    <div class="line">
      <div class="line-text">
        <span>{t("set.volumes")}</span>
        <p class="secondary" data-user>
          {helper.what} {helper.advice}
        </p>
      </div>
      <div class="line-control">
        {status === "enabled" ? <span class="secondary">{t("set.volumesOn")}</span> : <Button onClick={act}>{t(status === "requires_approval" ? "permission.openSettings" : "permission.allow")}</Button>}
      </div>
    </div>
  );
}
