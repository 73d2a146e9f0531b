// Tells what is drawn on a canvas that the page's colours have changed. Used by chart.tsx and kv-map.tsx.
import { useEffect, useRef } from 'preact/hooks';

export function useThemeChange(redraw: () => void): void {
  const latest = useRef(redraw);
  latest.current = redraw;
  useEffect(() => {
    const tell = (): void => latest.current();
    const system = matchMedia('(prefers-color-scheme: dark)');
    const own = new MutationObserver(tell);
    system.addEventListener('change', tell);
    own.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
    return () => {
      system.removeEventListener('change', tell);
      own.disconnect();
    };
  }, []);
}
