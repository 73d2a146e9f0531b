// `sparklane route < request.json`: what the policy would decide about a request, without a server and without a model.
// Owns the reading of either API's request. Before it: program.ts; after it: server/lanes.
import { readFileSync } from 'node:fs';
import { jsonFile, parsedJson } from '../base/json-text.ts';
import { chatConversation, itemsConversation } from '../lanes/conversation.ts';
import { decideRoute, NEW_SESSION, pinnedRoute } from '../lanes/decide.ts';
import { decideLabelled, labelledTable } from '../lanes/labelled.ts';
import { AUTO } from '../lanes/lanes-file.ts';
import { builtInPolicyPath, policyPathOf, readLanes } from '../lanes/open-lanes.ts';
import { PolicyError, parsePolicy, vocabularyOf } from '../lanes/policy.ts';
import { readSignals } from '../lanes/signals.ts';
import { itemsOf } from '../responses/items.ts';
import { type Host, UsageError } from './terminal.ts';

export interface RouteOptions {
  readonly lanes: string | null; // path of a lanes file
  readonly policy: string | null; // path of a policy
  readonly from: string | null; // lane of the session
  readonly labelled: string | null; // path of labelled requests to hold the policy against
}

/** Writes the decision and the signals as JSON. Rejects with what is wrong with a file or the request. */
export async function route(
  { lanes, policy: path, from, labelled }: RouteOptions,
  { terminal }: Host,
): Promise<void> {
  const file = lanes === null ? null : readLanes(lanes);
  const policyPath = path ?? (file === null ? builtInPolicyPath() : policyPathOf(lanes!, file));
  const policy = parsePolicy(readJson(policyPath));
  if (from !== null && !policy.order.includes(from)) {
    throw new UsageError(`--from ${from}: the policy has the lanes ${policy.order.join(', ')}`);
  }
  if (labelled !== null) {
    terminal.write(labelledTable(decideLabelled(policy, readText(labelled))));
    return;
  }
  const body = requestOf(await terminal.readAll());
  const conversation = Array.isArray(body['messages'])
    ? chatConversation(body)
    : itemsConversation(
        body,
        itemsOf(body['input'], () => ''),
      );
  const signals = readSignals(conversation, vocabularyOf(policy));
  const state = { ...NEW_SESSION, lane: from, turnsInLane: from === null ? 0 : 1 };
  const { model } = body;
  const named = typeof model === 'string' && model !== AUTO && policy.order.includes(model);
  const decision = named ? pinnedRoute(policy, signals, state, model) : decideRoute(policy, signals, state);
  terminal.write(`${JSON.stringify({ ...decision, signals }, null, 2)}\n`);
}

function readJson(path: string): unknown {
  return jsonFile(path, (reason) => new PolicyError(`${path}: ${reason}`));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`--labelled ${path}: ${(error as Error).message}`);
  }
}

function requestOf(text: string): Readonly<Record<string, unknown>> {
  const value = parsedJson(text, (reason) => new UsageError(`standard input is not JSON: ${reason}`));
  const body = value as Readonly<Record<string, unknown>> | null;
  if (typeof body === 'object' && body !== null && ('messages' in body || 'input' in body)) return body;
  throw new UsageError('standard input has neither messages (chat completions) nor input (Responses)');
}
