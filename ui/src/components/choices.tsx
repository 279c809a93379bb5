// Choices without <select>: native radio buttons as rows or segments, tabs, switches and sliders.
import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";

export interface Option<T extends string> {
  value: T;
  label: string;
  note?: string | undefined;
  disabled?: boolean;
  badge?: { count: number; bad?: boolean };
}

interface ChoiceProps<T extends string> {
  label: string;
  options: readonly Option<T>[];
  value: T | null;
  onChange: (value: T) => void;
}

/** One of a few, each with room for an explanation. */
export function RadioRows<T extends string>({ label, options, value, onChange }: ChoiceProps<T>) {
  const name = useId();
  return (
    <fieldset class="choices" role="radiogroup" aria-label={label}>
      {options.map((option) => (
        <label class="choice" key={option.value}>
          <input
            type="radio"
            name={name}
            checked={option.value === value}
            disabled={option.disabled}
            aria-describedby={option.note ? `${name}-${option.value}` : undefined}
            onChange={() => onChange(option.value)}
          />
          <span>{option.label}</span>
          {option.note && (
            <span class="choice-note" id={`${name}-${option.value}`}>
              {option.note}
            </span>
          )}
        </label>
      ))}
    </fieldset>
  );
}

/** One of a few short words, side by side. */
export function Segments<T extends string>({ label, options, value, onChange }: ChoiceProps<T>) {
  const name = useId();
  return (
    <div class="segmented" role="radiogroup" aria-label={label}>
      {options.map((option) => (
        <label class="segment" key={option.value}>
          <input type="radio" name={name} checked={option.value === value} onChange={() => onChange(option.value)} />
          <span>{option.label}</span>
        </label>
      ))}
    </div>
  );
}

interface TabsProps<T extends string> extends Omit<ChoiceProps<T>, "value"> {
  value: T;
  /** Id of the panel that the tabs switch. */
  panel: string;
  className?: string;
  vertical?: boolean;
  render?: (option: Option<T>) => ComponentChildren;
}

/** Tabs: arrow keys move, Home and End jump; one tab stop for all. */
export function Tabs<T extends string>(props: TabsProps<T>) {
  const { label, options, value, onChange, panel, className = "segmented", vertical, render } = props;
  const list = useRef<HTMLDivElement>(null);
  const key = (event: KeyboardEvent) => {
    const at = options.findIndex((option) => option.value === value);
    const next = arrowTarget(event.key, at, options.length);
    const option = next === null ? undefined : options[next];
    if (!option) return;
    event.preventDefault();
    onChange(option.value);
    list.current?.querySelectorAll<HTMLElement>("[role=tab]")[next ?? 0]?.focus();
  };
  return (
    <div
      class={className}
      role="tablist"
      aria-label={label}
      aria-orientation={vertical ? "vertical" : "horizontal"}
      ref={list}
      onKeyDown={key}
    >
      {options.map((option) => (
        <button
          type="button"
          role="tab"
          class="segment"
          key={option.value}
          id={`${panel}-tab-${option.value}`}
          aria-selected={option.value === value}
          aria-controls={panel}
          tabIndex={option.value === value ? 0 : -1}
          onClick={() => onChange(option.value)}
        >
          {render ? render(option) : option.label}
          {option.badge && option.badge.count > 0 && <Badge {...option.badge} />}
        </button>
      ))}
    </div>
  );
}

export function Badge({ count, bad }: { count: number; bad?: boolean }) {
  return <span class={bad ? "badge bad" : "badge"}>{count > 999 ? "999+" : count}</span>;
}

/** Where an arrow key, Home or End leads from `at`; null for other keys. Shared by tabs, listboxes and menus. */
export function arrowTarget(key: string, at: number, count: number): number | null {
  if (count === 0) return null;
  switch (key) {
    case "ArrowDown":
    case "ArrowRight":
      return (at + 1) % count;
    case "ArrowUp":
    case "ArrowLeft":
      return (at - 1 + count) % count;
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}

export function Switch(props: { id: string; checked: boolean; disabled?: boolean; describedBy?: string | undefined; onChange: (on: boolean) => void }) {
  return (
    <input
      type="checkbox"
      role="switch"
      class="switch"
      id={props.id}
      checked={props.checked}
      disabled={props.disabled}
      aria-describedby={props.describedBy}
      onChange={(event) => props.onChange(event.currentTarget.checked)}
    />
  );
}

/** A slider over given stops; tells a screen reader the stop in words. `onChange` comes when the person lets go. */
export function StopSlider(props: { id: string; stops: readonly number[]; value: number; text: (stop: number) => string; onChange: (stop: number) => void }) {
  const { id, stops, value, text, onChange } = props;
  const at = nearest(stops, value);
  return (
    <div class="slider">
      <input
        type="range"
        id={id}
        min={0}
        max={stops.length - 1}
        step={1}
        value={at}
        aria-valuetext={text(value)}
        onChange={(event) => onChange(stops[Number(event.currentTarget.value)] ?? value)}
      />
      <output htmlFor={id}>{text(value)}</output>
    </div>
  );
}

/** The stop next to a value that may lie between two. */
export function nearest(stops: readonly number[], value: number): number {
  let best = 0;
  stops.forEach((stop, index) => {
    if (Math.abs(stop - value) < Math.abs((stops[best] ?? 0) - value)) best = index;
  });
  return best;
}
