// What the rows can do, bound to the engine's commands.
import type { DeletesAnswer, Removed, Resolution } from "../../api/engine";
import { useTexts } from "../../components/context";
import { useQuestion } from "../../state/actions";
import { useModel, useView } from "../../state/hooks";
import { splitPath } from "../../text/middle";

export interface RowDeeds {
  /** "Finder", or "Files" where it is not a Mac. */
  browser: string;
  retry(bucket: string | null, path: string | null): Promise<unknown>;
  show(bucket: string, path: string | null): Promise<unknown>;
  reveal(bucket: string, path: string | null): Promise<unknown>;
  discard(bucket: string, path: string): Promise<unknown>;
  resolve(bucket: string, id: number, how: Resolution): Promise<unknown>;
  answerDeletes(bucket: string, answer: DeletesAnswer): Promise<unknown>;
  restore(row: Removed): Promise<unknown>;
  mount(bucket: string): Promise<unknown>;
  unmount(bucket: string): Promise<unknown>;
  dismiss(entry: number): void;
  signIn(): void;
}

export function useDeeds() {
  const { t } = useTexts();
  const { run, host } = useModel();
  const view = useView();
  const question = useQuestion();
  const mac = view.app?.about.os === "macos";
  const deeds: RowDeeds = {
    browser: t(mac ? "browser.finder" : "browser.files"),
    retry: (bucket, path) => run("retry", { bucket: bucket ?? undefined, path: path ?? undefined }),
    show: (bucket, path) => run("show", { bucket, path: path ?? undefined }),
    reveal: (bucket, path) => run("reveal", { bucket, path: path ?? undefined }),
    discard: (bucket, path) =>
      question.ask({ title: t("discard.title", { name: splitPath(path).name }), yes: t("discard.yes") }, (consent) => run("discard", { bucket, path, consent: consent ?? undefined })),
    resolve: (bucket, id, how) => run("resolve", { bucket, id, how }),
    answerDeletes: (bucket, answer) => run("answer_deletes", { bucket, answer }),
    restore: (row) => run("restore", { bucket: row.bucket, path: row.path }),
    mount: (bucket) => run("mount", { bucket, open: true }),
    unmount: (bucket) => question.ask({ title: t("unmount.title", { bucket }), yes: t("unmount.yes") }, (consent) => run("unmount", { bucket, consent: consent ?? undefined })),
    dismiss: (entry) => void run("dismiss", { entry }),
    signIn: () => host.openPage("welcome"),
  };
  return { deeds, question };
}
