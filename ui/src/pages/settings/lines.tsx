// Kinds of setting that come more than once.
import { useEffect, useId, useState } from "preact/hooks";
import { Button } from "../../components/button";
import { Switch } from "../../components/choices";
import { useTexts } from "../../components/context";
import { Line } from "../../components/parts";

interface SwitchLineProps {
  label: string;
  /** The label is a name of the user's, not a word of the catalogue. */
  named?: boolean;
  note?: string;
  on: boolean;
  disabled?: boolean;
  onChange: (on: boolean) => Promise<unknown>;
}

export function SwitchLine({ label, named, note, on, onChange, disabled }: SwitchLineProps) {
  const id = useId();
  // Shown at once as the person set it; if the engine refuses, as it was.
  const [wanted, setWanted] = useState<boolean | null>(null);
  const change = async (to: boolean) => {
    setWanted(to);
    await onChange(to);
    setWanted(null);
  };
  return (
    <Line control={id} label={label} named={named} note={note} noteId={note ? `${id}-note` : undefined}>
      <Switch id={id} checked={wanted ?? on} disabled={disabled ?? false} describedBy={note ? `${id}-note` : undefined} onChange={change} />
    </Line>
  );
}

interface TextLineProps {
  label: string;
  note?: string;
  value: string;
  placeholder?: string;
  onSave: (value: string) => Promise<boolean>;
  pick?: ((start: string) => Promise<string | null>) | undefined;
}

/** A text that is kept by Return or by its button, so that half a path is never taken for one. */
export function TextLine({ label, note, value, placeholder, onSave, pick }: TextLineProps) {
  const { t } = useTexts();
  const id = useId();
  const [text, setText] = useState(value);
  const [canPick, setCanPick] = useState(pick !== undefined);
  useEffect(() => setText(value), [value]);
  const choose = async () => {
    try {
      const path = await pick?.(text);
      if (path) {
        setText(path);
        await onSave(path);
      }
    } catch {
      setCanPick(false);
    }
  };
  return (
    <form
      class="line"
      onSubmit={(event) => {
        event.preventDefault();
        void onSave(text.trim());
      }}
    >
      <div class="line-text">
        <label htmlFor={id}>{label}</label>
        {note && (
          <p class="secondary" id={`${id}-note`}>
            {note}
          </p>
        )}
      </div>
      <div class="line-control with-button wide">
        <input
          id={id}
          class="input"
          value={text}
          placeholder={placeholder}
          autocomplete="off"
          spellcheck={false}
          aria-describedby={note ? `${id}-note` : undefined}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape") setText(value);
          }}
        />
        {text.trim() !== value && <Button submit>{t("common.save")}</Button>}
        {canPick && text.trim() === value && <Button onClick={choose}>{t("common.choose")}</Button>}
      </div>
    </form>
  );
}
