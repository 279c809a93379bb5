import { splitName } from "../text/middle";

/** A name cut in its middle where there is too little room; the whole name is in the tooltip and for screen readers. */
export function FileName({ name, className = "" }: { name: string; className?: string }) {
  const [head, tail] = splitName(name);
  return (
    <span class={`cut ${className}`} title={name} data-user data-may-cut>
      <span class="hidden-text">{name}</span>
      <span class="head" aria-hidden="true">
        {head}
      </span>
      {tail && (
        <span class="tail" aria-hidden="true">
          {tail}
        </span>
      )}
    </span>
  );
}
