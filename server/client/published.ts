// sparklane/client for Node: opens the connection over the `ws` package, which can send a key in a header. The same names for
// web pages are in published-browser.ts. Only packages' users import it; the program's own commands use client.ts.
import { NativeClient } from './client.ts';
import { webSocketTo } from './web-socket.ts';

export type { NativeClient } from './client.ts';
export type { ClientGeneration, TokensReader } from './client-generation.ts';
export type {
  AppendContent,
  AskOptions,
  ChatTurn,
  ClientSession,
  EditSpan,
  ResumePoint,
} from './client-session.ts';
export type * from './messages.ts';
export { NativeError, type NativeErrorCode } from './native-error.ts';

export interface ConnectOptions {
  readonly apiKey?: string;
  readonly client?: string; // name and version, for the server's log
  readonly frameSizeMax?: number; // bytes of one frame of the server; 16 MiB
  readonly connectTimeoutMs?: number; // 10,000
  readonly session?: string; // id of one to be resumed, for proxies before several nodes
}

const FRAME_SIZE_MAX = 16 * 2 ** 20;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Connects to the server at `url`, such as `http://127.0.0.1:8080`. Rejects with NativeError if none answers, the key is not
 * taken or the versions differ.
 *
 * ```js
 * const client = await connect('http://127.0.0.1:8080');
 * const session = client.open();
 * session.append({ messages: [{ role: 'user', content: 'Say hello.' }] });
 * for await (const { text } of session.generate({ maxTokens: 32 })) process.stdout.write(text);
 * client.close();
 * ```
 */
export function connect(url: string, options: ConnectOptions = {}): Promise<NativeClient> {
  const {
    apiKey,
    client,
    frameSizeMax = FRAME_SIZE_MAX,
    connectTimeoutMs = CONNECT_TIMEOUT_MS,
    session,
  } = options;
  const where = { apiKey: apiKey ?? null, frameSizeMax, connectTimeoutMs };
  const open = webSocketTo(url, session === undefined ? where : { ...where, session });
  return NativeClient.connect(open, client === undefined ? {} : { client });
}
