import type { PendingQuestion } from "../state/actions";
import { Button } from "./button";
import { useTexts } from "./context";
import { Dialog, Question } from "./dialog";

function Facts({ question, facts }: PendingQuestion) {
  return (
    <>
      <p data-user>{question}</p>
      {facts.length > 0 && (
        <ul class="facts selectable" data-user>
          {facts.map((fact) => (
            <li key={fact}>{fact}</li>
          ))}
        </ul>
      )}
    </>
  );
}

/** The engine's question before a step that cannot be taken back; without a yes it only says why not. */
export function PendingDialog({ pending, close }: { pending: PendingQuestion | null; close: () => void }) {
  const { t } = useTexts();
  if (!pending) return null;
  if (pending.yes)
    return (
      <Question title={pending.title} yes={pending.yes.label} danger={!pending.yes.safe} onYes={pending.yes.run} onClose={close}>
        <Facts {...pending} />
      </Question>
    );
  return (
    <Dialog title={pending.title} onClose={close}>
      <Facts {...pending} />
      <div class="button-row end">
        <Button kind="primary" onClick={close}>
          {t("common.ok")}
        </Button>
      </div>
    </Dialog>
  );
}
