// `sparklane serve`: one server until a signal ends it. Owns the lines printed when it is ready and what signals mean.
// Before it: program.ts; after it: device/device.ts and compose.ts.
import { type Config, describeConfig } from '../config/config.ts';
import { watchDescriptors } from './descriptors.ts';
import { type LocalServer, startLocalServer } from './local-server.ts';
import type { Host } from './terminal.ts';

/** Resolves once the server has stopped; rejects when it cannot start. */
export async function serve(config: Config, host: Host): Promise<void> {
  const { terminal } = host;
  const server = await startLocalServer(config, host);
  server.log.info('config', describeConfig(config));
  const stopWatching = watchDescriptors(config, { clock: host.clock, log: server.log });
  terminal.write(readyText(server, config));
  await untilSignal(host, config);
  await server.stop();
  stopWatching();
  terminal.note('sparklane has stopped\n');
}

/** What a person needs to know, and one line to try. */
function readyText({ url, model, otherNames, version, description }: LocalServer, config: Config): string {
  const key = config.apiKeys.length > 0 ? ` -H 'authorization: Bearer YOUR_KEY'` : '';
  const { path, body } = example(model);
  return [
    `sparklane ${version} is ready`,
    `  url     ${url}${config.ui === 'on' ? ' (in a browser: a playground, and what the server is doing)' : ''}`,
    `  model   ${model.name} (${model.path})`,
    ...(otherNames.length === 0
      ? []
      : [`  beside  ${otherNames.join(', ')}, loaded when a request names them`]),
    `  device  ${description}`,
    `  try     curl -s ${url}${path} -H 'content-type: application/json'${key} -d '${JSON.stringify(body)}'`,
    '',
  ].join('\n');
}

/** A model that fills in the middle is one for code; another is asked. */
function example({ name: model, chatTemplate, fim }: LocalServer['model']): { path: string; body: object } {
  if (chatTemplate === null || fim !== null) {
    const body = { model, prompt: 'function fibonacci(n: number)', max_tokens: 64 };
    return { path: '/v1/completions', body };
  }
  const messages = [{ role: 'user', content: 'What is the capital of France?' }];
  return { path: '/v1/chat/completions', body: { model, messages } };
}

/** The first Ctrl-C or SIGTERM starts the drain. After that nobody listens: a second one ends the process. */
function untilSignal({ terminal }: Host, { drainTimeoutMs }: Config): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      stopInterrupt();
      stopTerminate();
      terminal.note(`shutting down, at most ${drainTimeoutMs / 1000} s; once more to leave at once\n`);
      resolve();
    };
    const stopInterrupt = terminal.onInterrupt(stop);
    const stopTerminate = terminal.onTerminate(stop);
  });
}
