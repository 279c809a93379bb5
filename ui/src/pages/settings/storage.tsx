import { useId } from "preact/hooks";
import { Button } from "../../components/button";
import { Segments, StopSlider } from "../../components/choices";
import { useTexts } from "../../components/context";
import { Group, Line } from "../../components/parts";
import { useModel } from "../../state/hooks";
import { useStorage } from "../../state/storage";
import { bytes } from "../../text/format";
import type { PaneProps } from "./settings";

const GB = 1_000_000_000;
const CACHE = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500].map((gigabytes) => gigabytes * GB);
const RESERVE = [0.5, 1, 2, 5, 10, 20, 50, 100].map((gigabytes) => gigabytes * GB);

export function StoragePane({ app, change }: PaneProps) {
  const { t } = useTexts();
  const { cache_bytes: cache, reserve_bytes: reserve } = app.settings;
  return (
    <>
      <Here />
      <SizeGroup label={t("set.cache")} note={t("set.cacheNote")} stops={CACHE} first={10 * GB} value={cache} onChange={(value) => change({ cache_bytes: value })} />
      <SizeGroup label={t("set.reserve")} note={t("set.reserveNote")} stops={RESERVE} first={5 * GB} value={reserve} onChange={(value) => change({ reserve_bytes: value })} />
      <p class="group-note">{t("set.unsentNote")}</p>
    </>
  );
}

/** What lies on this computer, bucket by bucket, and why. */
function Here() {
  const { t, locale } = useTexts();
  const { host } = useModel();
  const { storage } = useStorage();
  if (!storage) return null;
  return (
    <>
      {storage.buckets.map((one) => (
        <Group key={one.bucket} title={one.bucket} named>
          <Line label={t("set.hereKept")} note={one.to_keep_bytes > 0 ? t("set.hereLeft", { size: bytes(one.kept_bytes, locale), left: bytes(one.to_keep_bytes, locale) }) : bytes(one.kept_bytes, locale)}>
            <Button onClick={() => host.openPage("offline")} about={one.bucket}>
              {t("set.hereManage")}
            </Button>
          </Line>
          <Line label={t("set.hereCached")}>
            <span class="secondary">{t("set.hereLimit", { size: bytes(one.cached_bytes, locale), limit: bytes(one.cache_limit, locale) })}</span>
          </Line>
          <Line label={t("set.hereUnsent")}>
            <span class="secondary">{bytes(one.unsent_bytes, locale)}</span>
          </Line>
        </Group>
      ))}
      <p class="group-note">{t(storage.buckets.length > 0 ? "set.hereNote" : "set.hereNone")}</p>
    </>
  );
}

interface SizeGroupProps {
  label: string;
  note: string;
  stops: readonly number[];
  first: number;
  value: number | null;
  onChange: (value: number | null) => Promise<unknown>;
}

function SizeGroup({ label, note, stops, first, value, onChange }: SizeGroupProps) {
  const { t, locale } = useTexts();
  const id = useId();
  return (
    <Group note={note}>
      <Line label={label}>
        <Segments
          label={label}
          value={value === null ? "auto" : "own"}
          options={[
            { value: "auto", label: t("set.automatic") },
            { value: "own", label: t("set.custom") },
          ]}
          onChange={(kind) => void onChange(kind === "auto" ? null : first)}
        />
      </Line>
      {value !== null && (
        <Line control={id} label={t("set.size")} grow>
          <StopSlider id={id} stops={stops} value={value} text={(stop) => bytes(stop, locale)} onChange={(stop) => void onChange(stop)} />
        </Line>
      )}
    </Group>
  );
}
