// A popup list (one of many) and a popup menu (things to do). Both close on Escape, on a click elsewhere and on Tab,
// give the focus back to their button, and are found by typing the first letters.
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { RefObject } from "preact";
import { arrowTarget } from "./choices";
import { Icon, type IconName } from "./icons";

const MENU_HEIGHT = 310;
const MENU_WIDTH = 260;

function useOutside(box: RefObject<HTMLElement | null>, open: boolean, close: () => void) {
  useEffect(() => {
    if (!open) return;
    const pressed = (event: PointerEvent) => {
      if (!box.current?.contains(event.target as Node)) close();
    };
    document.addEventListener("pointerdown", pressed);
    // Where it may stand is reckoned when it opens.
    window.addEventListener("resize", close);
    return () => {
      document.removeEventListener("pointerdown", pressed);
      window.removeEventListener("resize", close);
    };
  }, [open]);
}

/** Above the button where there is no room under it; ending where the button ends if there is room before it. */
function placement(button: HTMLElement | null): string {
  const box = button?.getBoundingClientRect();
  if (!box) return "";
  const under = window.innerHeight - box.bottom;
  return `${under < MENU_HEIGHT && box.top > under ? "above" : ""} ${box.right > MENU_WIDTH ? "end" : ""}`;
}

/** The index of the next label that begins with what was typed, or -1. */
export function typeAhead(labels: readonly string[], typed: string, from: number): number {
  const wanted = typed.toLocaleLowerCase();
  for (let step = 1; step <= labels.length; step += 1) {
    const index = (from + step) % labels.length;
    if (labels[index]?.toLocaleLowerCase().startsWith(wanted)) return index;
  }
  return -1;
}

export interface ListOption {
  value: string;
  label: string;
}

interface PopupListProps {
  label: string;
  options: readonly ListOption[];
  value: string | null;
  placeholder: string;
  onChange: (value: string) => void;
}

export function PopupList({ label, options, value, placeholder, onChange }: PopupListProps) {
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(0);
  const chosen = options.findIndex((option) => option.value === value);
  useOutside(box, open, () => setOpen(false));
  useEffect(() => {
    if (open) document.getElementById(`${id}-${active}`)?.scrollIntoView({ block: "nearest" });
  }, [open, active]);

  const show = () => {
    setActive(Math.max(0, chosen));
    setOpen(true);
  };
  const choose = (index: number) => {
    const option = options[index];
    if (option) onChange(option.value);
    setOpen(false);
    button.current?.focus();
  };
  const key = (event: KeyboardEvent) => {
    if (!open) {
      if (!["ArrowDown", "ArrowUp", "Enter", " "].includes(event.key)) return;
      event.preventDefault();
      show();
      return;
    }
    if (event.key === "Tab") {
      setOpen(false);
      return;
    }
    const target = event.key.length === 1 && event.key !== " " ? typeAhead(options.map((option) => option.label), event.key, active) : arrowTarget(event.key, active, options.length);
    if (target !== null && target >= 0) setActive(target);
    else if (event.key === "Enter" || event.key === " ") choose(active);
    else if (event.key === "Escape") setOpen(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="popup wide" ref={box}>
      <button
        type="button"
        ref={button}
        class="popup-button"
        role="combobox"
        aria-label={label}
        aria-haspopup="listbox"
        aria-expanded={open}
        aria-controls={`${id}-list`}
        aria-activedescendant={open ? `${id}-${active}` : undefined}
        onClick={() => (open ? setOpen(false) : show())}
        onKeyDown={key}
      >
        <span data-user={chosen >= 0 || undefined}>{options[chosen]?.label ?? placeholder}</span>
        <Icon name="chevrons" size={14} />
      </button>
      <ul class={`float ${open ? placement(button.current) : ""}`} role="listbox" id={`${id}-list`} aria-label={label} hidden={!open}>
        {options.map((option, index) => (
          <li
            key={option.value}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === chosen}
            class={index === active ? "option active" : "option"}
            data-user
            onPointerMove={() => setActive(index)}
            onClick={() => choose(index)}
          >
            <span class="tick">{index === chosen && <Icon name="check" size={14} />}</span>
            <span>{option.label}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

export interface MenuItem {
  label: string;
  icon?: IconName;
  danger?: boolean;
  run: () => void;
}

interface MenuProps {
  /** The button's name; visible unless `icon` alone is shown. */
  label: string;
  icon: IconName;
  /** Only the icon is visible. */
  compact?: boolean;
  /** A gap is drawn between the lists. */
  items: readonly (readonly MenuItem[])[];
}

export function Menu({ label, icon, compact, items }: MenuProps) {
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState(false);
  const flat = items.flat();
  useOutside(box, open, () => setOpen(false));
  const entries = () => Array.from(box.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? []);
  // Before the next key: one that comes sooner than a later effect would find no entry focused.
  useLayoutEffect(() => {
    if (open) entries()[0]?.focus();
  }, [open]);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  const key = (event: KeyboardEvent) => {
    const list = entries();
    const at = list.indexOf(document.activeElement as HTMLElement);
    if (!open) {
      if (event.key !== "ArrowDown") return;
      setOpen(true);
    } else if (event.key === "Escape") close();
    else if (event.key === "Tab") {
      setOpen(false);
      return;
    } else {
      const target = event.key.length === 1 && event.key !== " " ? typeAhead(flat.map((item) => item.label), event.key, at) : arrowTarget(event.key, at, list.length);
      if (target === null || target < 0) return;
      list[target]?.focus();
    }
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="popup menu" ref={box} onKeyDown={key}>
      <button
        type="button"
        ref={button}
        class={compact ? "icon-button" : "button"}
        aria-label={compact ? label : undefined}
        title={compact ? label : undefined}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <Icon name={icon} size={compact ? 16 : 14} />
        {!compact && label}
        {!compact && <Icon name="down" size={12} />}
      </button>
      {open && (
        <div class={`float ${placement(button.current)}`} role="menu" aria-label={label}>
          {items.map((list, group) => (
            <div key={group} role="none">
              {group > 0 && <div class="separator" role="separator" />}
              {list.map((item) => (
                <button
                  type="button"
                  key={item.label}
                  role="menuitem"
                  tabIndex={-1}
                  class={item.danger ? "option danger" : "option"}
                  onClick={() => {
                    close();
                    item.run();
                  }}
                >
                  <span class="tick">{item.icon && <Icon name={item.icon} size={14} />}</span>
                  {item.label}
                </button>
              ))}
            </div>
          ))}
        </div>
      )}
    </div>
  );
}
