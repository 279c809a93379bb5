// Steps that ask before they are done: the engine answers the first call with a question, and the same call with the
// question's consent is the yes.
import { useCallback, useState } from "preact/hooks";
import type { Asked, Unmounted } from "../api/engine";
import { useModel } from "./hooks";

export interface PendingQuestion {
  title: string;
  question: string;
  facts: readonly string[];
  /** Absent: it cannot be done now, the question only says why. */
  yes?: { label: string; run: () => Promise<unknown>; safe?: boolean };
}

interface Words {
  title: string;
  yes: string;
}

type Ask = (consent: string | null) => Promise<Asked | Unmounted | null>;

/** `ask` runs a step; its question is in `pending` until it is answered. */
export function useQuestion() {
  const model = useModel();
  const [pending, setPending] = useState<PendingQuestion | null>(null);
  const ask = useCallback(
    async (words: Words, step: Ask, done?: () => void): Promise<void> => {
      const answer = await step(null);
      if (!answer) return;
      if (answer.outcome === "done") {
        done?.();
        return;
      }
      const { consent } = answer;
      const possible = answer.outcome === "in_use" || answer.possible;
      const yes = async () => {
        setPending(null);
        const second = await step(consent);
        if (second?.outcome === "done") done?.();
      };
      setPending({
        title: words.title,
        question: answer.question,
        facts: answer.outcome === "in_use" ? answer.by.map((program) => `${program.name} (${program.pid})`) : answer.facts,
        ...(possible ? { yes: { label: words.yes, run: yes } } : {}),
      });
    },
    [model],
  );
  return { pending, ask, close: () => setPending(null) };
}
