// The page's icons: strokes on a grid of 24, drawn in the colour of the text beside them. Decoration only: what they mean is
// always said in words as well.
import type { VNode } from 'preact';

const PATHS = {
  chat: 'M5 5h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-7l-5 4v-4H5a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2Z',
  live: 'M3 12h4l3-8 4 16 3-8h4',
  chip: 'M7 7h10v10H7zM4 9h3M4 15h3M17 9h3M17 15h3M9 4v3M15 4v3M9 17v3M15 17v3',
  report: 'M6 3h9l4 4v14H6zM9 17v-4M12 17v-7M15 17v-2',
  model: 'M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5',
  send: 'M12 19V5M6 11l6-6 6 6',
  stop: 'M7 7h10v10H7z',
  steer: 'M4 18c8 0 6-12 12-12M12 2l4 4-4 4',
  edit: 'M4 20h4L19 9l-4-4L4 16z',
  again: 'M4 12a8 8 0 1 1 2.5 5.8M4 20v-5h5',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  diff: 'M6 4v16M3 7h6M18 4v16M15 17h6',
  tune: 'M4 7h10M18 7h2M4 17h2M10 17h10M14 4v6M6 14v6',
  close: 'M6 6l12 12M18 6L6 18',
  plus: 'M12 5v14M5 12h14',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5 19 19M5 19l1.5-1.5M17.5 6.5 19 5',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.500 10.500Z',
  half: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM12 3v18',
  key: 'M14 10a4 4 0 1 0-3.500 4l1.500 1.500H14V17h2v2h4v-3z',
  check: 'M5 13l4 4L19 7',
  open: 'M10 5H5v14h14v-5M13 5h6v6M19 5l-9 9',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }): VNode {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark of the house. */
export function Spark({ size = 26 }: { readonly size?: number }): VNode {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="#161a22" />
      <path d="M18 4 7 18h8l-2 10 12-15h-8z" fill="#ffb020" />
    </svg>
  );
}
