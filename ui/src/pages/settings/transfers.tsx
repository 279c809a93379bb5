import { useId, useState } from "preact/hooks";
import { Segments, StopSlider } from "../../components/choices";
import { useTexts } from "../../components/context";
import { Group, Line } from "../../components/parts";
import { bytes } from "../../text/format";
import type { PaneProps } from "./settings";

const MB = 1_000_000;
const RATES = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100].map((megabytes) => megabytes * MB);
const FIRST_RATE = 5 * MB;
const PARALLEL = Array.from({ length: 16 }, (_, index) => index + 1);

export function TransfersPane({ app, change }: PaneProps) {
  const { t, locale } = useTexts();
  const id = useId();
  const { upload_bytes_per_s: rate, parallel_uploads: parallel } = app.settings;
  const [last, setLast] = useState(rate ?? FIRST_RATE);
  return (
    <>
      <Group note={t("set.bandwidthNote")}>
        <Line label={t("set.bandwidth")}>
          <Segments
            label={t("set.bandwidth")}
            value={rate === null ? "free" : "limited"}
            options={[
              { value: "free", label: t("set.unlimited") },
              { value: "limited", label: t("set.limited") },
            ]}
            onChange={(kind) => void change({ upload_bytes_per_s: kind === "free" ? null : last })}
          />
        </Line>
        {rate !== null && (
          <Line control={`${id}-rate`} label={t("set.atMost")} grow>
            <StopSlider
              id={`${id}-rate`}
              stops={RATES}
              value={rate}
              text={(stop) => t("row.rate", { rate: bytes(stop, locale) })}
              onChange={(stop) => {
                setLast(stop);
                void change({ upload_bytes_per_s: stop });
              }}
            />
          </Line>
        )}
      </Group>
      <Group>
        <Line control={`${id}-parallel`} label={t("set.parallel")} note={t("set.parallelNote")} grow>
          <StopSlider id={`${id}-parallel`} stops={PARALLEL} value={parallel} text={(count) => t("set.files", { count })} onChange={(count) => void change({ parallel_uploads: count })} />
        </Line>
      </Group>
    </>
  );
}
