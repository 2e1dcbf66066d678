import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Signal, type ISignal } from '@lumino/signaling';

import type { TagStyle } from './tags';

export interface CellsPreferences {
  badges: boolean;
  rule: boolean;
  tagStyle: TagStyle;
  checkOnSave: boolean;
}

const DEFAULTS: CellsPreferences = { badges: true, rule: true, tagStyle: 'magic', checkOnSave: false };

/** What the user chose in the settings of `@nbpipe/labextension:cells`; defaults until they are loaded, or where none are. */
export class CellsSettings {
  readonly changed: ISignal<this, undefined>;
  now: CellsPreferences = DEFAULTS;
  private readonly emitter = new Signal<this, undefined>(this);

  constructor() {
    this.changed = this.emitter;
  }

  follow(settings: ISettingRegistry.ISettings): void {
    const read = (): void => {
      this.now = { ...DEFAULTS, ...(settings.composite as Partial<CellsPreferences>) };
      this.emitter.emit(undefined);
    };
    settings.changed.connect(read);
    read();
  }
}
