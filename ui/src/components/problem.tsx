import { useModel, useView } from "../state/hooks";
import { IconButton } from "./button";
import { useTexts } from "./context";
import { ErrorBanner } from "./parts";

/** The last command that failed: what happened and what to do, until it is put away. */
export function Problem() {
  const { t } = useTexts();
  const { clearProblem } = useModel();
  const { problem } = useView();
  if (!problem) return null;
  return (
    <div class="pad-inline">
      <ErrorBanner error={problem} actions={<IconButton icon="close" label={t("common.dismiss")} onClick={clearProblem} />} />
    </div>
  );
}
