// Small parts of pages: banners, empty states, progress, groups of settings.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import type { AppError } from "../api/engine";
import { FileName } from "./file-name";
import { Icon, type IconName, type Tone } from "./icons";

interface BannerProps {
  tone?: "info" | "warn" | "bad";
  icon: IconName;
  title?: string;
  children?: ComponentChildren;
  actions?: ComponentChildren;
}

const BANNER_TONE: Record<"info" | "warn" | "bad", Tone> = { info: "accent", warn: "warn", bad: "bad" };

export function Banner({ tone = "info", icon, title, children, actions }: BannerProps) {
  return (
    <div class={`banner ${tone}`} role={tone === "bad" ? "alert" : "status"}>
      <Icon name={icon} tone={BANNER_TONE[tone]} />
      <div class="banner-body">
        <div class="banner-text">
          {title && <p class="banner-title">{title}</p>}
          {children}
        </div>
        {actions && <div class="button-row">{actions}</div>}
      </div>
    </div>
  );
}

/** What an action of the person's came to: what happened, and what to do. */
export function ErrorBanner({ error, actions }: { error: AppError | null; actions?: ComponentChildren }) {
  if (!error) return null;
  return (
    <Banner tone="bad" icon="attention" actions={actions}>
      <p class="selectable" data-user>
        {error.what} {error.advice}
      </p>
    </Banner>
  );
}

interface EmptyProps {
  icon: IconName;
  title: string;
  /** It is all there is on the page. */
  alone?: boolean;
  children?: ComponentChildren;
  actions?: ComponentChildren;
}

export function Empty({ icon, title, alone, children, actions }: EmptyProps) {
  return (
    <div class="empty">
      <Icon name={icon} size={44} />
      {alone ? <h1>{title}</h1> : <h2>{title}</h2>}
      {children}
      {actions && <div class="button-row">{actions}</div>}
    </div>
  );
}

/** `share` from 0 to 1, or null when it cannot be known. */
export function ProgressBar({ label, share, text }: { label: string; share: number | null; text?: string }) {
  const now = share === null ? undefined : Math.floor(Math.min(1, Math.max(0, share)) * 100);
  return (
    <div
      class={share === null ? "bar unknown" : "bar"}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={now}
      aria-valuetext={text}
    >
      <span style={now === undefined ? {} : { width: `${now}%` }} />
    </div>
  );
}

export function Group({ title, named, note, children }: { title?: string; named?: boolean; note?: string; children: ComponentChildren }) {
  const id = useId();
  return (
    <section class="group" aria-labelledby={title ? id : undefined}>
      {title && (
        <h2 id={id} data-user={named || undefined}>
          {title}
        </h2>
      )}
      <div class="group-box">{children}</div>
      {note && <p class="group-note">{note}</p>}
    </section>
  );
}

interface LineProps {
  /** Id of the control that the words are the label of. */
  control?: string;
  label: string;
  /** The label is a name of the user's. */
  named?: boolean | undefined;
  note?: string | undefined;
  noteId?: string;
  grow?: boolean;
  children: ComponentChildren;
}

/** One setting: words at the left, the control at the right, or under them where it is narrow. */
export function Line({ control, label, named, note, noteId, grow, children }: LineProps) {
  return (
    <div class="line">
      <div class="line-text">
        {control ? <label htmlFor={control}>{named ? <FileName name={label} /> : label}</label> : <span>{label}</span>}
        {note && (
          <p class="secondary" id={noteId}>
            {note}
          </p>
        )}
      </div>
      <div class={grow ? "line-control grow" : "line-control"}>{children}</div>
    </div>
  );
}
