import { useId } from "preact/hooks";
import { Segments, StopSlider } from "../../components/choices";
import { useTexts } from "../../components/context";
import { Group, Line } from "../../components/parts";
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
      <SizeGroup label={t("set.cache")} note={t("set.cacheNote")} stops={CACHE} first={10 * GB} value={cache} onChange={(value) => change({ cache_bytes: value })} />
      <SizeGroup label={t("set.reserve")} note={t("set.reserveNote")} stops={RESERVE} first={5 * GB} value={reserve} onChange={(value) => change({ reserve_bytes: value })} />
      <p class="group-note">{t("set.unsentNote")}</p>
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
