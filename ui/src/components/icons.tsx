// Icons drawn on a 16-point grid with round strokes, in the manner of the system's symbols.
// They say nothing to a screen reader: words stand beside them.

const SHAPES = {
  check: <path d="M3.5 8.5l3 3 6-7" />,
  saved: (
    <>
      <circle cx="8" cy="8" r="6.2" />
      <path d="M5.2 8.3l2 2 3.7-4.4" />
    </>
  ),
  upload: (
    <>
      <circle cx="8" cy="8" r="6.2" />
      <path d="M8 11V5.2M5.6 7.5L8 5.1l2.4 2.4" />
    </>
  ),
  clock: (
    <>
      <circle cx="8" cy="8" r="6.2" />
      <path d="M8 4.6V8l2.3 1.6" />
    </>
  ),
  queue: <path d="M3 4.5h10M3 8h10M3 11.5h6" />,
  attention: (
    <>
      <path d="M8 2.2l6 10.9H2z" />
      <path d="M8 6.4v3.2M8 11.4v.1" />
    </>
  ),
  conflict: (
    <>
      <rect x="2.2" y="2.2" width="7.6" height="7.6" rx="1.5" />
      <path d="M12.2 6.2h.1a1.5 1.5 0 011.5 1.5v4.6a1.5 1.5 0 01-1.5 1.5H7.7a1.5 1.5 0 01-1.5-1.5v-.1" />
    </>
  ),
  trash: <path d="M2.8 4.2h10.4M6.2 4V2.6h3.6V4M4.2 4.4l.6 9h6.4l.6-9M6.8 6.9v4M9.2 6.9v4" />,
  restore: <path d="M3 8a5 5 0 105-5H4.4M6.6.9L4.2 3l2.4 2.2" />,
  pause: (
    <>
      <circle cx="8" cy="8" r="6.2" />
      <path d="M6.4 5.8v4.4M9.6 5.8v4.4" />
    </>
  ),
  play: <path d="M5 3.4l7 4.6-7 4.6z" />,
  offline: <path d="M4.6 5.1A3.6 3.6 0 004 12.2h7.6M6.6 3.6A4 4 0 0112 7.2a2.6 2.6 0 011.6 4.5M2.4 2.4l11.2 11.2" />,
  person: (
    <>
      <circle cx="8" cy="5.4" r="2.7" />
      <path d="M2.8 13.6a5.4 5.4 0 0110.4 0" />
    </>
  ),
  laptop: (
    <>
      <rect x="3" y="3.2" width="10" height="7" rx="1" />
      <path d="M1.4 12.8h13.2" />
    </>
  ),
  bucket: <path d="M2.6 4.4h10.8l-1.3 8.3a1.2 1.2 0 01-1.2 1H5.1a1.2 1.2 0 01-1.2-1zM4 4.2a4 2.4 0 018 0M3.2 7.8h9.6" />,
  folder: <path d="M1.8 4.2a1.2 1.2 0 011.2-1.2h2.9l1.6 1.8h5.5a1.2 1.2 0 011.2 1.2v5.8a1.2 1.2 0 01-1.2 1.2H3a1.2 1.2 0 01-1.2-1.2z" />,
  file: <path d="M4.2 1.8h4.9l3 3v8.2a1.2 1.2 0 01-1.2 1.2H4.2A1.2 1.2 0 013 13V3a1.2 1.2 0 011.2-1.2zM8.9 2v3h3" />,
  link: <path d="M6.4 3.4H3.8A1.2 1.2 0 002.6 4.6v7.6a1.2 1.2 0 001.2 1.2h7.6a1.2 1.2 0 001.2-1.2V9.6M9.2 2.6h4.2v4.2M13.2 2.8L7.4 8.6" />,
  retry: <path d="M13 8a5 5 0 11-1.6-3.7M13.2 2v3h-3" />,
  more: (
    <g fill="currentColor" stroke="none">
      <circle cx="3.4" cy="8" r="1.2" />
      <circle cx="8" cy="8" r="1.2" />
      <circle cx="12.6" cy="8" r="1.2" />
    </g>
  ),
  chevrons: <path d="M5.4 6.2L8 3.6l2.6 2.6M5.4 9.8L8 12.4l2.6-2.6" />,
  down: <path d="M4.4 6.2L8 9.8l3.6-3.6" />,
  search: (
    <>
      <circle cx="7" cy="7" r="4.2" />
      <path d="M10.2 10.2l3.2 3.2" />
    </>
  ),
  plus: <path d="M8 3.2v9.6M3.2 8h9.6" />,
  close: <path d="M4.4 4.4l7.2 7.2M11.6 4.4l-7.2 7.2" />,
  eject: <path d="M8 3.2l5 5.4H3zM3.2 12h9.6" />,
  settings: (
    <>
      <path d="M2.4 4.8h5.2M11.4 4.8h2.2M2.4 11.2h2.2M8.4 11.2h5.2" />
      <circle cx="9.5" cy="4.8" r="1.8" />
      <circle cx="6.5" cy="11.2" r="1.8" />
    </>
  ),
  bell: <path d="M3.4 11.6c.9-1 1.2-2 1.2-4.2a3.4 3.4 0 016.8 0c0 2.200.3 3.200 1.200 4.200zM6.7 13.600a1.400 1.400 0 002.600 0" />,
  disk: (
    <>
      <ellipse cx="8" cy="4" rx="5.200" ry="1.900" />
      <path d="M2.800 4v8c0 1 2.300 1.900 5.200 1.900s5.200-.9 5.200-1.900V4M2.800 8c0 1 2.300 1.900 5.200 1.900s5.200-.9 5.200-1.900" />
    </>
  ),
  transfer: <path d="M5 13V3.400M2.600 5.600L5 3.200l2.400 2.400M11 3v9.600M8.600 10.400L11 12.800l2.400-2.400" />,
  wrench: <path d="M10.200 2.300a3.600 3.600 0 00-3.300 4.800L2.400 11.600a1.400 1.400 0 002 2l4.500-4.500a3.600 3.600 0 004.700-4.500l-2.100 2-1.800-.4-.4-1.800z" />,
  lock: (
    <>
      <rect x="3.400" y="7" width="9.200" height="6.600" rx="1.400" />
      <path d="M5.400 6.800V5a2.600 2.600 0 015.200 0v1.800" />
    </>
  ),
  globe: (
    <>
      <circle cx="8" cy="8" r="6.200" />
      <path d="M1.900 8h12.200M8 1.800c2.200 2.300 2.200 10 0 12.400M8 1.800c-2.200 2.300-2.200 10 0 12.400" />
    </>
  ),
  key: (
    <>
      <circle cx="5.200" cy="10.800" r="2.800" />
      <path d="M7.200 8.800l5.800-5.800M10.800 5.200l2 2" />
    </>
  ),
  terminal: (
    <>
      <rect x="1.800" y="2.800" width="12.400" height="10.400" rx="1.600" />
      <path d="M4.400 6l2.200 2-2.200 2M8.200 10.200h3" />
    </>
  ),
  shield: <path d="M8 1.800l5.200 1.900v4c0 3.200-2.200 5.500-5.200 6.500-3-1-5.200-3.300-5.200-6.500v-4zM5.800 8l1.600 1.600 3-3.400" />,
} as const;

export type IconName = keyof typeof SHAPES;

export function Icon({ name, size = 16, tone }: { name: IconName; size?: number; tone?: Tone | undefined }) {
  return (
    <svg
      class={tone ? `icon tone-${tone}` : "icon"}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width={size > 24 ? 0.9 : 1.4}
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {SHAPES[name]}
    </svg>
  );
}

export type Tone = "good" | "warn" | "bad" | "accent" | "quiet";
