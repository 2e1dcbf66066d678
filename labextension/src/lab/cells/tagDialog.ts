import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { checkName, type Role } from './grammar';
import { suggestName } from './quantities';
import type { NewTag } from './tagging';
import { lineOf, textOf } from './tags';

export interface AskedTag {
  title: string;
  role: Role;
  name: string;
  options: string;
  /** Names of the stages that there are: a cell may join one. */
  names: string[];
}

/** Ask what a cell is to be; null where the user thinks better of it. What is answered is a line of the grammar. */
export async function askTag(trans: TranslationBundle, asked: AskedTag): Promise<NewTag | null> {
  const body = new TagForm(trans, asked);
  const result = await showDialog({
    title: asked.title,
    body,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: trans.__('Tag') }),
    ],
    focusNodeSelector: '.nbp-TagForm-name',
  });
  if (!result.button.accept) {
    return null;
  }
  const tag = result.value;
  return tag && !body.mistake() ? tag : askAgain(trans, asked, tag);
}

function askAgain(trans: TranslationBundle, asked: AskedTag, tag: NewTag | null): Promise<NewTag | null> {
  return askTag(trans, { ...asked, ...(tag ?? {}), options: tag?.options ?? asked.options });
}

const ROLES: Role[] = ['stage', 'check', 'params', 'profile', 'setup'];

class TagForm extends Widget implements Dialog.IBodyWidget<NewTag> {
  private readonly role = document.createElement('select');
  private readonly name = document.createElement('input');
  private readonly options = document.createElement('input');
  private readonly said = document.createElement('p');

  constructor(
    private readonly trans: TranslationBundle,
    asked: AskedTag,
  ) {
    super();
    this.addClass('nbp-TagForm');
    const titles: Record<string, string> = {
      stage: trans.__('stage: a named step of the pipeline'),
      check: trans.__('check: a gate that stops what comes after it'),
      params: trans.__('params: values that a run may change'),
      profile: trans.__('profile: a set of other values'),
      setup: trans.__('setup: runs first, in every stage'),
    };
    for (const role of ROLES) {
      this.role.append(new Option(titles[role], role, false, role === asked.role));
    }
    this.name.value = asked.name;
    this.name.className = 'nbp-TagForm-name jp-mod-styled';
    this.name.spellcheck = false;
    this.options.value = asked.options;
    this.options.className = 'jp-mod-styled';
    this.options.placeholder = '--gpus 1 --retries 2';
    this.options.spellcheck = false;
    this.role.className = 'jp-mod-styled';
    this.said.setAttribute('role', 'status');
    const known = document.createElement('datalist');
    known.id = 'nbpipe-stage-names';
    known.append(...asked.names.map((name) => new Option(name, name)));
    this.name.setAttribute('list', known.id);
    this.node.append(
      labelled(trans.__('The cell is a'), this.role),
      labelled(trans.__('Name'), this.name),
      labelled(trans.__('Options'), this.options),
      known,
      this.said,
    );
    for (const input of [this.role, this.name, this.options]) {
      input.addEventListener('input', () => this.tell());
    }
    this.tell();
  }

  getValue(): NewTag {
    const role = this.role.value as Role;
    const named = role !== 'params' && role !== 'setup';
    const options = role === 'stage' || role === 'check' ? this.options.value : '';
    return { role, name: named ? this.name.value.trim() : '', options };
  }

  mistake(): string {
    const { role, name, options } = this.getValue();
    try {
      if (name) {
        checkName(name);
      }
      lineOf(role, name, options ?? '');
      return role === 'profile' && !name ? this.trans.__('A profile needs a name.') : '';
    } catch (error) {
      return textOf(error);
    }
  }

  /** The line that would be written, or what is wrong with it. */
  private tell(): void {
    const { role, name, options } = this.getValue();
    this.name.disabled = role === 'params' || role === 'setup';
    this.options.disabled = role !== 'stage' && role !== 'check';
    const wrong = this.mistake();
    const better = suggestName(name);
    const hint = name && better && better !== name ? ` ${this.trans.__('Such as %1.', better)}` : '';
    if (!name && !this.name.disabled) {
      // Nothing was typed yet, which is no mistake.
      this.said.className = 'nbp-TagForm-hint';
      this.said.textContent = this.trans.__('Give it a name, such as %1.', 'train');
      return;
    }
    this.said.className = wrong ? 'nbp-TagForm-wrong' : 'nbp-TagForm-line';
    this.said.textContent = wrong
      ? wrong + (wrong.includes(better) ? '' : hint)
      : lineOf(role, name, options);
  }
}

function labelled(text: string, input: HTMLElement): HTMLElement {
  const label = document.createElement('label');
  const said = document.createElement('span');
  said.textContent = text;
  label.append(said, input);
  return label;
}
