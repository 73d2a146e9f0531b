// The names by which requests call the model that is served. Pure. Used by the routes.
import { type Fault, fault } from '../errors.ts';
import type { ServedModel } from './served-model.ts';
import type { OpenAiWorld } from './world.ts';

type Named = Pick<ServedModel, 'name' | 'aliases'>;

/** A request names the one model there is, by any of its names, or none. */
export function modelFault(asked: string | null | undefined, { name, aliases = [] }: Named): Fault | null {
  if (asked == null || asked === '' || nameMeant(asked, [name, ...aliases]) !== undefined) return null;
  const names = [name, ...aliases].map((one) => JSON.stringify(one)).join(', ');
  const message =
    `the model ${JSON.stringify(asked)} is not here; this server has ${names}` +
    ' (it answers to another name with --alias)';
  return fault('model_not_found', message, { param: 'model' });
}

/** As modelFault, for routes that are not routed: the server's own model may also be called by its lane. */
export function ownModelFault(
  asked: string | null | undefined,
  { model, lanes }: Pick<OpenAiWorld, 'model' | 'lanes'>,
): Fault | null {
  return asked != null && lanes?.isLocal(asked) === true ? null : modelFault(asked, model);
}

/** Ollama's clients write a tag behind a name, whether they were given one or not. */
function nameMeant(asked: string, names: readonly string[]): string | undefined {
  return names.find((name) => name === asked) ?? names.find((name) => `${name}:latest` === asked);
}

/** The name by which the model was asked for: answers carry it. */
export function askedName(asked: string | null | undefined, { name, aliases = [] }: Named): string {
  return asked != null && aliases.includes(asked) ? asked : name;
}
