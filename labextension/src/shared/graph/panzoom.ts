import { useCallback, useEffect, useRef, type RefObject } from 'react';

import type { Point } from './layered';

interface Box {
  width: number;
  height: number;
}

const SMALLEST = 0.1;
const LARGEST = 2;
const MARGIN = 24;
/** A graph that is opened is readable, even if one then does not see all of it. */
const READABLE = 0.5;

/**
 * Pan and zoom of `world` in `view`: moving writes one CSS transform and draws nothing anew. Drag or wheel pans, wheel with Ctrl
 * (or two fingers) zooms around the pointer. `shown` is told the scale.
 */
export function usePanZoom(
  view: RefObject<HTMLElement>,
  world: RefObject<HTMLElement>,
  size: Box,
  shown: RefObject<(scale: number) => void>,
) {
  const at = useRef({ x: MARGIN, y: MARGIN, scale: 1 });
  const moved = useRef(false);

  const apply = useCallback(() => {
    const { x, y, scale: now } = at.current;
    if (world.current) {
      world.current.style.transform = `translate(${x}px, ${y}px) scale(${now})`;
    }
    view.current?.classList.toggle('nbp-far', now < 0.5);
    shown.current?.(now);
  }, [shown, view, world]);

  const zoom = useCallback(
    (factor: number, around?: Point) => {
      const box = view.current?.getBoundingClientRect();
      const point = around ?? { x: (box?.width ?? 0) / 2, y: (box?.height ?? 0) / 2 };
      const before = at.current;
      const next = Math.min(Math.max(before.scale * factor, SMALLEST), LARGEST);
      const grown = next / before.scale;
      at.current = {
        x: point.x - (point.x - before.x) * grown,
        y: point.y - (point.y - before.y) * grown,
        scale: next,
      };
      moved.current = true;
      apply();
    },
    [apply, view],
  );

  const fitTo = useCallback(
    (smallest: number) => {
      const box = view.current?.getBoundingClientRect();
      if (!box || box.width === 0 || size.width === 0) {
        return;
      }
      const wanted = Math.min(
        (box.width - 2 * MARGIN) / size.width,
        (box.height - 2 * MARGIN) / Math.max(size.height, 1),
        1,
      );
      const next = Math.max(wanted, smallest);
      at.current = {
        x: Math.max((box.width - size.width * next) / 2, MARGIN),
        y: Math.max((box.height - size.height * next) / 2, MARGIN),
        scale: next,
      };
      moved.current = false;
      apply();
    },
    [apply, size.height, size.width, view],
  );
  const fit = useCallback(() => fitTo(SMALLEST), [fitTo]);

  /** Pans as far as is needed to see this part of the world. */
  const reveal = useCallback(
    (part: Point & Box) => {
      const box = view.current?.getBoundingClientRect();
      if (!box || box.width === 0) {
        return;
      }
      const now = at.current;
      const into = (offset: number, start: number, length: number, room: number) => {
        const from = offset + start * now.scale;
        const to = from + length * now.scale;
        return from < MARGIN
          ? offset + MARGIN - from
          : to > room - MARGIN
            ? offset + room - MARGIN - to
            : offset;
      };
      now.x = into(now.x, part.x, part.width, box.width);
      now.y = into(now.y, part.y, part.height, box.height);
      apply();
    },
    [apply, view],
  );

  useEffect(() => {
    fitTo(READABLE);
    const element = view.current;
    if (!element || typeof ResizeObserver === 'undefined') {
      return undefined;
    }
    const observer = new ResizeObserver(() => moved.current || fitTo(READABLE));
    observer.observe(element);
    return () => observer.disconnect();
  }, [fitTo, view]);

  useEffect(() => {
    const element = view.current;
    if (!element) {
      return undefined;
    }
    // React listens passively, and a wheel that also scrolls the page is of no use.
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const box = element.getBoundingClientRect();
      const unit = event.deltaMode === 1 ? 16 : 1;
      if (event.ctrlKey || event.metaKey) {
        zoom(Math.exp(-event.deltaY * unit * 0.004), {
          x: event.clientX - box.left,
          y: event.clientY - box.top,
        });
      } else {
        pan(-event.deltaX * unit, -event.deltaY * unit);
      }
    };
    const pan = (x: number, y: number) => {
      at.current.x += x;
      at.current.y += y;
      moved.current = true;
      apply();
    };
    let held: { pointer: number; x: number; y: number } | undefined;
    const down = (event: PointerEvent) => {
      if (event.button === 0 && event.target instanceof Element && !event.target.closest('button')) {
        held = { pointer: event.pointerId, x: event.clientX, y: event.clientY };
        element.setPointerCapture(event.pointerId);
        element.classList.add('nbp-held');
      }
    };
    const move = (event: PointerEvent) => {
      if (held?.pointer === event.pointerId) {
        pan(event.clientX - held.x, event.clientY - held.y);
        held = { pointer: event.pointerId, x: event.clientX, y: event.clientY };
      }
    };
    const up = () => {
      held = undefined;
      element.classList.remove('nbp-held');
    };
    element.addEventListener('wheel', wheel, { passive: false });
    element.addEventListener('pointerdown', down);
    element.addEventListener('pointermove', move);
    element.addEventListener('pointerup', up);
    element.addEventListener('pointercancel', up);
    return () => {
      element.removeEventListener('wheel', wheel);
      element.removeEventListener('pointerdown', down);
      element.removeEventListener('pointermove', move);
      element.removeEventListener('pointerup', up);
      element.removeEventListener('pointercancel', up);
    };
  }, [apply, view, zoom]);

  return { zoom, fit, reveal };
}
