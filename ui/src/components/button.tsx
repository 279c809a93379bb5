import type { ComponentChildren, Ref } from "preact";
import { useState } from "preact/hooks";
import { useTexts } from "./context";
import { Icon, type IconName } from "./icons";

interface ButtonProps {
  children: ComponentChildren;
  /** A promise keeps the button busy: a second click does nothing until it is settled. */
  onClick?: () => void | Promise<unknown>;
  kind?: "normal" | "primary" | "danger" | "plain";
  size?: "normal" | "large";
  icon?: IconName;
  /** What the button is about, for a screen reader, when the visible words do not say it ("Retry": which file?). */
  about?: string | undefined;
  disabled?: boolean;
  submit?: boolean;
  inputRef?: Ref<HTMLButtonElement>;
}

export function Button({ children, onClick, kind = "normal", size = "normal", icon, about, disabled, submit, inputRef }: ButtonProps) {
  const { t } = useTexts();
  const [busy, setBusy] = useState(false);
  const click = () => {
    const done = busy ? undefined : onClick?.();
    if (!(done instanceof Promise)) return;
    setBusy(true);
    const free = () => setBusy(false);
    done.then(free, free);
  };
  return (
    <button
      ref={inputRef ?? null}
      type={submit ? "submit" : "button"}
      class={`button ${kind === "normal" ? "" : kind} ${size === "large" ? "large" : ""}`}
      aria-label={about && typeof children === "string" ? t("common.about", { what: children, about }) : undefined}
      aria-busy={busy || undefined}
      disabled={disabled}
      onClick={click}
    >
      {icon && <Icon name={icon} size={14} />}
      {children}
    </button>
  );
}

export function IconButton(props: { icon: IconName; label: string; onClick: () => void }) {
  return (
    <button type="button" class="icon-button" aria-label={props.label} title={props.label} onClick={props.onClick}>
      <Icon name={props.icon} />
    </button>
  );
}
