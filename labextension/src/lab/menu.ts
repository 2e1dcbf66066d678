import { CommandRegistry } from '@lumino/commands';
import { Menu } from '@lumino/widgets';

/** An entry of a menu; `'-'` is a line. */
export type Entry = '-' | Item | { label: string; entries: Entry[] };

interface Item {
  label: string;
  caption?: string;
  enabled?: boolean;
  checked?: boolean;
  run: () => void;
}

/** Show a menu at this place of the window; it and its commands go when it closes. */
export function showMenu(entries: Entry[], place: { x: number; y: number }): void {
  const menu = menuOf(entries, new CommandRegistry());
  menu.aboutToClose.connect(() => {
    // The command that was chosen runs after the menu has closed.
    setTimeout(() => menu.dispose());
  });
  menu.open(place.x, place.y);
}

/** Show a menu below a button. */
export function showMenuBelow(entries: Entry[], button: Element): void {
  const { left, bottom } = button.getBoundingClientRect();
  showMenu(entries, { x: left, y: bottom });
}

function menuOf(entries: Entry[], commands: CommandRegistry): Menu {
  const menu = new Menu({ commands });
  menu.addClass('nbp-Menu');
  for (const entry of entries) {
    if (entry === '-') {
      menu.addItem({ type: 'separator' });
    } else if ('entries' in entry) {
      const submenu = menuOf(entry.entries, commands);
      submenu.title.label = entry.label;
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
  return menu;
}
