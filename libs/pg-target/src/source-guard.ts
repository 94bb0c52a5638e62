// Keeps replay off the captured source itself: by address, by where a connection really leads, and by the cluster's identifier.
//
// What the source is, its capture proxies say in the status topic. Two servers may have one identifier, a physical copy has it from its
// original: whoever publishes the identifier says that no mirror is one.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { MirrorstreamError, type SourceServer } from '@mirrorstream/domain';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** What is known of one connection to the target. */
export interface TargetIdentity {
  readonly configured: Endpoint;
  /** The other end of its socket. */
  readonly remote: Endpoint;
  /** null: not asked for, or this user may not ask. */
  readonly systemIdentifier: string | null;
}

export interface SourceGuardOptions {
  /** What is known of the source now. */
  readonly servers: () => readonly SourceServer[];
  /** Every address of a name; throws when it has none. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
  readonly seenFrom?: string;
}

export class SourceGuard {
  readonly #servers: () => readonly SourceServer[];
  readonly #resolve: (host: string) => Promise<readonly string[]>;
  readonly #seenFrom: string;

  constructor({ servers, resolve = allAddresses, seenFrom = hostname() }: SourceGuardOptions) {
    this.#servers = servers;
    this.#resolve = resolve;
    this.#seenFrom = seenFrom;
  }

  /** Whether it is worth asking a target which cluster it is. */
  get wantsIdentifier(): boolean {
    return this.#servers().some(({ systemIdentifier }) => systemIdentifier !== undefined);
  }

  /** Throws `targetIsSource`, which says by what it was recognised. Names that cannot be resolved are compared as they are. */
  async check(target: TargetIdentity): Promise<void> {
    for (const server of this.#servers()) {
      if (server.systemIdentifier !== undefined && server.systemIdentifier === target.systemIdentifier)
        throw isSource(`its system identifier is the source's, ${server.systemIdentifier}`);
      const here = server.seenFrom === this.#seenFrom;
      for (const address of server.addresses) {
        if (address.port !== target.configured.port && address.port !== target.remote.port) continue;
        const found = await this.#addressesOf(address.host, here);
        const named = await this.#addressesOf(target.configured.host, here);
        const direct = address.port === target.configured.port && named.some((each) => found.includes(each));
        const remote = plain(target.remote.host, here);
        if (direct || (address.port === target.remote.port && remote !== null && found.includes(remote)))
          throw isSource(`its address is the source's, ${address.host}:${address.port}`);
      }
    }
  }

  /** The name and what it stands for; loopback addresses only where both see the same machine. */
  async #addressesOf(host: string, here: boolean): Promise<readonly string[]> {
    const resolved = isIP(host) === 0 ? await this.#resolve(host).catch(() => []) : [];
    return [host, ...resolved].map((each) => plain(each, here)).filter((each) => each !== null);
  }
}

/** One spelling for one address; all of loopback is one. null: it means nothing elsewhere. */
function plain(host: string, here: boolean): string | null {
  const lower = host
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/^::ffff:/, '');
  if (lower === 'localhost' || lower === '::1' || /^127\./.test(lower)) return here ? 'loopback' : null;
  return lower;
}

async function allAddresses(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

function isSource(why: string): MirrorstreamError {
  return new MirrorstreamError('targetIsSource', `the mirror's server is the captured source: ${why}`, {
    stage: 'target',
    hint:
      "Replay would make production's writes twice. Correct the mirror's URL, or what its name stands for. A physical copy has its " +
      "original's system identifier: for such mirrors start the capture proxy without --source-system-identifier.",
  });
}
