// What proxies say of the caller behind them: X-Forwarded-For, -Proto and -Host, believed of the addresses that
// --trusted-proxies names and of nobody else. Owns whose word counts. Used by door.ts and guard.ts.
import { BlockList, isIP } from 'node:net';
import type { HttpRequest } from '../listeners/transport.ts';

export class TrustedProxies {
  readonly #trusted = new BlockList();

  /** Addresses, or networks such as 10.0.0.0/8. */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address, prefix] = network.split('/') as [string, string | undefined];
      const family = familyOf(address);
      if (prefix === undefined) this.#trusted.addAddress(address, family);
      else this.#trusted.addSubnet(address, Number(prefix), family);
    }
  }

  /** The address that asked: the last one of the chain that is no proxy of ours. */
  clientOf(request: HttpRequest): string {
    let client = plainAddress(request.remoteAddress);
    const chain = request.header('x-forwarded-for').split(',');
    while (this.#trusts(client)) {
      const before = plainAddress((chain.pop() ?? '').trim());
      if (isIP(before) === 0) break; // nothing more, or nothing that could be one
      client = before;
    }
    return client;
  }

  /** Scheme, host and port by which the caller knows this server. */
  originOf(request: HttpRequest): string {
    const host = request.header('host');
    if (!this.#trusts(plainAddress(request.remoteAddress))) return `http://${host}`.toLowerCase();
    const scheme = firstOf(request.header('x-forwarded-proto')) === 'https' ? 'https' : 'http';
    return `${scheme}://${firstOf(request.header('x-forwarded-host')) || host}`.toLowerCase();
  }

  #trusts(address: string): boolean {
    return isIP(address) !== 0 && this.#trusted.check(address, familyOf(address));
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** An IPv4 address that a socket for both kinds met is written in IPv6; proxies may add a port. */
function plainAddress(text: string): string {
  const mapped = /^(?:(?:0{0,4}:){1,5}|::)ffff:(.+)$/i.exec(text)?.[1];
  if (mapped !== undefined) return mapped.includes('.') ? mapped : fromHex(mapped);
  const withPort = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text) ?? /^\[(.+)\](?::\d+)?$/.exec(text);
  return withPort?.[1] ?? text;
}

/** 7f00:0001 → 127.0.0.1 */
function fromHex(groups: string): string {
  const [high = 0, low = 0] = groups.split(':').map((group) => Number.parseInt(group, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

function firstOf(list: string): string {
  return list.split(',', 1)[0]!.trim();
}
