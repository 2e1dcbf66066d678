const OWN = 'data-nbpipe-keys';
const SUPPRESS = 'data-lm-suppress-shortcuts';

/** In this element plain keys are its own: arrows, Enter, letters. The lab's keys with Ctrl, Alt or ⌘ go on working in it. */
export function ownPlainKeys(node: HTMLElement): void {
  node.setAttribute(OWN, '');
}

/** Once for the page. The lab has one mark for all keys of an element: it is set, or taken away, for each key that is pressed. */
export function followKeys(): void {
  // The lab listens at the document while a key goes down to its element: the window hears it earlier.
  window.addEventListener(
    'keydown',
    (event) => {
      const { target } = event;
      const node = target instanceof Element ? target.closest(`[${OWN}]`) : null;
      if (node && target instanceof Element) {
        const strong = event.ctrlKey || event.metaKey || event.altKey;
        // In a field Ctrl+C, Ctrl+Z and their like belong to the text; with a third key they are nobody's but the lab's.
        const field = target.matches('input, textarea, select') && !event.altKey && !event.shiftKey;
        node.toggleAttribute(SUPPRESS, !strong || field);
      }
    },
    true,
  );
}
