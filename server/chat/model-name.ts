// The names by which requests call the model that is served. Pure. Used by the routes.
import { type Fault, fault } from '../base/errors.ts';
import type { Lanes } from '../lanes/lanes.ts';
import type { ServedModel } from '../text/served-model.ts';

export type NamedModel = Pick<ServedModel, 'name' | 'aliases' | 'aliasPrefixes' | 'neighbours'>;

const SHOWN_NAMES = 32; // of other models, in a refusal

/** A request names the one model there is, by any of its names, or none. */
export function modelFault(asked: string | null | undefined, model: NamedModel): Fault | null {
  const { name, aliases = [], aliasPrefixes = [], neighbours = () => [] } = model;
  if (asked == null || asked === '' || nameMeant(asked, [name]) !== undefined || isAlias(asked, model)) {
    return null;
  }
  const names = [
    name,
    ...aliases,
    ...aliasPrefixes.map((prefix) => `${prefix}*`),
    ...neighbours().slice(0, SHOWN_NAMES),
  ]
    .map((one) => JSON.stringify(one))
    .join(', ');
  const message =
    `the model ${JSON.stringify(asked)} is not here; this server has ${names}` +
    ' (it answers to another name with --alias)';
  return fault('model_not_found', message, { param: 'model' });
}

/** As modelFault, for routes that are not routed: the server's own model may also be called by its lane. */
export function ownModelFault(
  asked: string | null | undefined,
  {
    model,
    lanes,
  }: { readonly model: NamedModel; readonly lanes?: Pick<Lanes, 'isLocal' | 'meaning'> | null },
): Fault | null {
  if (asked != null && lanes?.isLocal(asked) === true) return null;
  const absent = modelFault(asked, model);
  if (absent === null || asked == null || (lanes?.meaning(asked, model.name) ?? null) === null) return absent;
  const message =
    `model: ${JSON.stringify(asked)} is a lane, and this route is answered by the server's own model alone; ` +
    'lanes take conversations: /v1/chat/completions, /v1/responses, /v1/messages, /api/chat';
  return fault('unsupported', message, { param: 'model' });
}

/** Ollama's clients write a tag behind a name, whether they were given one or not. */
function nameMeant(asked: string, names: readonly string[]): string | undefined {
  return names.find((name) => name === asked) ?? names.find((name) => `${name}:latest` === asked);
}

/** The name by which the model was asked for: answers carry it. */
export function askedName(asked: string | null | undefined, model: NamedModel): string {
  return asked != null && isAlias(asked, model) ? asked : model.name;
}

function isAlias(asked: string, { aliases = [], aliasPrefixes = [] }: NamedModel): boolean {
  return nameMeant(asked, aliases) !== undefined || aliasPrefixes.some((prefix) => asked.startsWith(prefix));
}
