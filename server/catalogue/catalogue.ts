// Catalogue: the models of this server by their names, in memory or not. Owns which entry a name means, and that a model which
// cannot be read harms no other. Before it: cli/model-table.ts makes the entries; after it: choice.ts and the lists.
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { CatalogueModel, OtherModel } from '../chat/catalogue-model.ts';
import type { SocketRoute } from '../http/door.ts';
import type { Route } from '../http/route.ts';
import type { Residence, Resident, Shelf } from '../shelf/shelf.ts';
import type { LongTexts } from '../text/long-texts.ts';

/** Routes and sockets of one model. */
export interface ModelDoor {
  readonly routes: readonly Route[];
  readonly sockets: readonly SocketRoute[];
  readonly texts: Pick<LongTexts, 'run'> | null; // that tokenises its long texts elsewhere; null: nobody has to
}

export interface CatalogueEntry {
  readonly listed: CatalogueModel;
  /** What has to be in memory while it answers. */
  readonly resident: Resident;
  /** Made when it is first asked for, and kept. Throws with what is wrong with its files. */
  readonly open: () => ModelDoor;
}

/** A model that is here and cannot be served. */
export interface UnreadableModel {
  readonly name: string;
  readonly reason: string;
}

export class Catalogue {
  readonly unreadable: readonly UnreadableModel[];
  readonly #entries: readonly CatalogueEntry[];
  readonly #shelf: Pick<Shelf, 'stateOf'>;
  readonly #doors = new Map<CatalogueEntry, ModelDoor>();

  constructor(
    entries: readonly CatalogueEntry[],
    {
      unreadable,
      shelf,
    }: { readonly unreadable: readonly UnreadableModel[]; readonly shelf: Pick<Shelf, 'stateOf'> },
  ) {
    this.#entries = entries;
    this.unreadable = unreadable;
    this.#shelf = shelf;
  }

  /** Null: it is no name of these. Ollama's clients write a tag behind a name. */
  find(asked: string): CatalogueEntry | null {
    const named = (name: string) =>
      this.#entries.find(({ listed }) => listed.name === name) ??
      this.#entries.find(({ listed }) => listed.aliases.some((alias) => meets(name, alias)));
    return (
      named(asked) ?? (asked.endsWith(':latest') ? (named(asked.slice(0, -':latest'.length)) ?? null) : null)
    );
  }

  /** A fault where its files cannot be read, or where the name is one of those that are unreadable. */
  doorOf(entry: CatalogueEntry): Parsed<ModelDoor> {
    const known = this.#doors.get(entry);
    if (known !== undefined) return { ok: true, value: known };
    try {
      const door = entry.open();
      this.#doors.set(entry, door);
      return { ok: true, value: door };
    } catch (error) {
      return { ok: false, fault: unreadableFault(entry.listed.name, (error as Error).message) };
    }
  }

  /** Why a model of this name is not served; null: there is none. */
  unreadableFault(asked: string): Fault | null {
    const found = this.unreadable.find(({ name }) => name === asked || `${name}:latest` === asked);
    return found === undefined ? null : unreadableFault(found.name, found.reason);
  }

  residenceOf({ resident }: CatalogueEntry): Residence {
    return this.#shelf.stateOf(resident);
  }

  get models(): readonly OtherModel[] {
    return this.#entries.map((entry) => ({ listed: entry.listed, residence: this.residenceOf(entry) }));
  }
}

function meets(name: string, alias: string): boolean {
  return alias.endsWith('*') ? name.startsWith(alias.slice(0, -1)) : name === alias;
}

function unreadableFault(name: string, reason: string): Fault {
  return fault('model_not_loaded', `the model ${JSON.stringify(name)} cannot be served: ${reason}`);
}
