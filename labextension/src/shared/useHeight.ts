import { useLayoutEffect, useState, type RefObject } from 'react';

/** Height of an element that is as high as its place allows. Until it is known, that of a small window. */
export function useHeight(element: RefObject<HTMLElement | null>, on: boolean): number {
  const [height, setHeight] = useState(600);
  useLayoutEffect(() => {
    const { current } = element;
    if (!on || !current) {
      return undefined;
    }
    const measure = () => setHeight(current.clientHeight);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(current);
    return () => observer.disconnect();
  }, [element, on]);
  return height;
}
