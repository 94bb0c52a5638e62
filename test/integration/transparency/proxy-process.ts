// The proxy as a process of its own, and what that process costs: sessions, open files, memory.
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { type SpawnedService, sharedKafka, spawnService, uniqueName, waitFor } from '@mirrorstream/testkit';
import { flagsOf, type Legs, plainLegs } from './legs.ts';
import { End } from './raw-client.ts';

export const forwardings = ['handles', 'streams'] as const;
/** `overflowing`: captured, with a ring so small that it runs full at once. */
export const captures = ['captured', 'overflowing', 'uncaptured'] as const;
export type Forwarding = (typeof forwardings)[number];
export type Capture = (typeof captures)[number];

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** Ring of a proxy that is to keep up; and the smallest there is. */
const ringBytes = 16 * 1024 * 1024;
const smallestRingBytes = 256 * 1024;

export class ProxyProcess {
  readonly name: string;
  readonly sourceName: string;
  readonly service: SpawnedService;
  readonly port: number;
  readonly legs: Legs;
  readonly #healthPort: number;

  private constructor(
    name: string,
    sourceName: string,
    service: SpawnedService,
    legs: Legs,
    ports: { readonly clients: number; readonly health: number },
  ) {
    this.name = name;
    this.sourceName = sourceName;
    this.service = service;
    this.legs = legs;
    this.port = ports.clients;
    this.#healthPort = ports.health;
  }

  static async start(
    forwarding: Forwarding,
    capture: Capture,
    source: Target,
    legs: Legs = plainLegs,
  ): Promise<ProxyProcess> {
    const sourceName = uniqueName('wire');
    const flags = capture === 'uncaptured' ? ['--capture', 'off'] : await captureFlags(capture, sourceName);
    const service = await spawnService([
      ...['capture-proxy', '--listen', '127.0.0.1:0', '--source', `${source.host}:${source.port}`],
      ...['--health', '127.0.0.1:0', '--forwarding', forwarding, '--source-name', sourceName, ...flags],
      ...(await flagsOf(legs)),
    ]);
    const ready = JSON.parse(await service.waitForLine(/"ready":true/)) as { listen: string };
    const health = JSON.parse(await service.waitForLine(/the health endpoint listens/)) as { port: number };
    const ports = { clients: Number(ready.listen.split(':').at(-1)), health: health.port };
    const name = legs === plainLegs ? `${forwarding}, ${capture}` : `${legs.name}, ${capture}`;
    return new ProxyProcess(name, sourceName, service, legs, ports);
  }

  /** A client, encrypted as the proxy's legs say. */
  connect(): Promise<End> {
    return End.connect(this.port, this.legs.client);
  }

  /** A number of the proxy's own, as its health endpoint tells it. */
  async metric(name: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.#healthPort}/metrics`);
    const line = (await answer.text()).split('\n').find((it) => it.startsWith(`mirrorstream_capture_proxy_${name} `));
    assert.ok(line, `the proxy has a metric ${name}`);
    return Number(line.split(' ').at(-1));
  }

  /** Sockets, files and pipes the process has open. */
  async openFiles(): Promise<number> {
    return (await readdir(`/proc/${this.service.pid}/fd`)).length;
  }

  /** Resident memory now, and the most there was since `forgetPeak`. */
  async memory(): Promise<{ readonly nowBytes: number; readonly peakBytes: number }> {
    const status = await readFile(`/proc/${this.service.pid}/status`, 'utf8');
    const bytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
    return { nowBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM') };
  }

  /** The peak begins anew (Linux: proc(5), clear_refs). */
  async forgetPeak(): Promise<void> {
    await writeFile(`/proc/${this.service.pid}/clear_refs`, '5');
  }

  /** Every session is closed, as the proxy itself counts. */
  async sessionsClosed(): Promise<void> {
    await waitFor(async () => (await this.metric('sessions_open')) === 0, { what: `${this.name}: no open session` });
  }

  /** Nothing moves any more: what both kernels hold is full, and the proxy does not read on. */
  async isStill(): Promise<void> {
    let before = -1;
    await waitFor(
      async () => {
        const forwarded = await this.metric('forwarded_bytes_total');
        const still = forwarded === before;
        before = forwarded;
        return still;
      },
      { what: 'the traffic to come to rest', everyMs: 300 },
    );
  }

  /** The capture worker never died, and nothing went wrong unhandled. */
  assertNothingDied(): void {
    assert.deepEqual(
      this.service.lines().filter((line) => /worker died|nobody handled|"level":(50|60)/.test(line)),
      [],
    );
  }
}

async function captureFlags(capture: Capture, sourceName: string): Promise<string[]> {
  const ring = capture === 'overflowing' ? smallestRingBytes : ringBytes;
  const { bootstrap } = await sharedKafka();
  return ['--brokers', bootstrap, '--node', sourceName, '--partitions', '2', '--ring-bytes', String(ring)];
}
