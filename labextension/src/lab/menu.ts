import { CommandRegistry } from '@lumino/commands';
import { Menu } from '@lumino/widgets';

/** An entry of a menu; `'-'` is a line. Entries that are still on their way are put in when they are there. */
export type Entry = '-' | Item | { label: string; entries: Entry[] | Promise<Entry[]> };

interface Item {
  label: string;
  caption?: string;
  enabled?: boolean;
  checked?: boolean;
  run: () => void;
}

const WAITING: Item = { label: '…', enabled: false, run: () => undefined };

/** Show a menu at this place of the window, at once; it and its commands go when it closes. */
export function showMenu(entries: Entry[] | Promise<Entry[]>, place: { x: number; y: number }): void {
  const commands = new CommandRegistry();
  const menu = menuOf(Array.isArray(entries) ? entries : [WAITING], commands);
  if (!Array.isArray(entries)) {
    void entries.then((found) => {
      if (menu.isAttached) {
        refill(menu, found, commands);
      }
    });
  }
  menu.aboutToClose.connect(() => {
    // The command that was chosen runs after the menu has closed; and it may have been opened again, with more in it.
    setTimeout(() => {
      if (!menu.isAttached) {
        menu.dispose();
      }
    });
  });
  menu.open(place.x, place.y);
}

/** Show a menu below a button. */
export function showMenuBelow(entries: Entry[] | Promise<Entry[]>, button: Element): void {
  const { left, bottom } = button.getBoundingClientRect();
  showMenu(entries, { x: left, y: bottom });
}

function menuOf(entries: Entry[], commands: CommandRegistry): Menu {
  const menu = new Menu({ commands });
  menu.addClass('nbp-Menu');
  fill(menu, entries, commands);
  return menu;
}

/** Put in what has come. A menu closes when it changes: one that was open is opened again, at its place. */
function refill(menu: Menu, entries: Entry[], commands: CommandRegistry): void {
  const open = menu.isAttached;
  const { left, top } = menu.node.getBoundingClientRect();
  const parent = menu.parentMenu;
  menu.clearItems();
  fill(menu, entries, commands);
  if (open && parent) {
    parent.activeIndex = parent.items.findIndex(({ submenu }) => submenu === menu);
    parent.triggerActiveItem();
  } else if (open) {
    menu.open(left, top);
  }
}

function fill(menu: Menu, entries: Entry[], commands: CommandRegistry): void {
  for (const entry of entries) {
    if (entry === '-') {
      menu.addItem({ type: 'separator' });
    } else if ('entries' in entry) {
      const submenu = menuOf(Array.isArray(entry.entries) ? entry.entries : [WAITING], commands);
      submenu.title.label = entry.label;
      if (!Array.isArray(entry.entries)) {
        void entry.entries.then((found) => {
          if (!submenu.isDisposed) {
            refill(submenu, found, commands);
          }
        });
      }
      menu.addItem({ type: 'submenu', submenu });
    } else {
      const id = `entry-${commands.listCommands().length}`;
      const { label, caption = '', enabled = true, checked, run } = entry;
      commands.addCommand(id, {
        // The place of a letter that is underlined: none, or a name with "&" in it would lose it.
        mnemonic: -1,
        label,
        caption,
        isEnabled: () => enabled,
        isToggleable: checked !== undefined,
        isToggled: () => checked ?? false,
        execute: run,
      });
      menu.addItem({ command: id });
    }
  }
}
