import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { useTexts } from "./context";
import { Button } from "./button";

/** A sheet over the window. The browser keeps the focus inside and gives it back; Escape cancels. */
export function Dialog({ title, children, onClose }: { title: string; children: ComponentChildren; onClose: () => void }) {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <div class="dialog-body">
        <h2 class="dialog-title" id={id}>
          {title}
        </h2>
        {children}
      </div>
    </dialog>
  );
}

interface QuestionProps {
  title: string;
  children: ComponentChildren;
  yes: string;
  danger?: boolean;
  onYes: () => Promise<unknown> | void;
  onClose: () => void;
}

/** A question before something that cannot be taken back. "Cancel" has the focus: Return alone destroys nothing. */
export function Question({ title, children, yes, danger, onYes, onClose }: QuestionProps) {
  const { t } = useTexts();
  const cancel = useRef<HTMLButtonElement>(null);
  useEffect(() => cancel.current?.focus(), []);
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      <div class="button-row end">
        <Button inputRef={cancel} onClick={onClose}>
          {t("common.cancel")}
        </Button>
        <Button kind={danger ? "danger" : "primary"} onClick={onYes}>
          {yes}
        </Button>
      </div>
    </Dialog>
  );
}
