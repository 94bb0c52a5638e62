// The wire under test: client ⇄ recorder ⇄ proxy ⇄ recorder ⇄ server. Encrypted legs lie between a recorder and the proxy.
import assert from 'node:assert/strict';
import { waitFor } from '@mirrorstream/testkit';
import { acceptorOf, encryptedLegs, type Legs, plainLegs } from './legs.ts';
import { type Capture, captures, type Forwarding, forwardings, ProxyProcess, type Target } from './proxy-process.ts';
import { Recorder } from './recorder.ts';

export interface WireMode {
  readonly name: string;
  readonly forwarding: Forwarding;
  readonly capture: Capture;
  readonly legs: Legs;
}

/** Each way to forward and to capture; and each leg that can be encrypted. */
export const wireModes: readonly WireMode[] = [
  ...forwardings.flatMap((forwarding) =>
    captures.map((capture) => ({ name: `${forwarding}, ${capture}`, forwarding, capture, legs: plainLegs })),
  ),
  ...encryptedLegs.map(
    (legs) => ({ name: `${legs.name}, captured`, forwarding: 'handles', capture: 'captured', legs }) as const,
  ),
];

export class Wire {
  readonly proxy: ProxyProcess;
  readonly #near: Recorder;
  readonly #far: Recorder;

  private constructor(proxy: ProxyProcess, near: Recorder, far: Recorder) {
    this.proxy = proxy;
    this.#near = near;
    this.#far = far;
  }

  /** `target` is asked for each connection. */
  static async lay({ forwarding, capture, legs }: WireMode, target: () => Target): Promise<Wire> {
    const far = await Recorder.start(target, await acceptorOf(legs), 'plain');
    try {
      const proxy = await ProxyProcess.start(forwarding, capture, { host: '127.0.0.1', port: far.port }, legs);
      const { port } = proxy;
      const near = await Recorder.start(() => ({ host: '127.0.0.1', port }), await acceptorOf(plainLegs), legs.client);
      return new Wire(proxy, near, far);
    } catch (error) {
      far.stop();
      throw error;
    }
  }

  /** One wire for each mode. Those that were laid are taken up when another cannot be. */
  static async layAll(target: () => Target): Promise<Wire[]> {
    const laid = await Promise.allSettled(wireModes.map((mode) => Wire.lay(mode, target)));
    const wires = laid.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const failed = laid.find((each) => each.status === 'rejected');
    if (failed === undefined) return wires;
    await Promise.all(wires.map((wire) => wire.takeUp()));
    throw failed.reason;
  }

  get name(): string {
    return this.proxy.name;
  }

  /** Where clients connect: the recorder before the proxy. */
  get port(): number {
    return this.#near.port;
  }

  /** Both recorders saw the same bytes in both directions of every connection, and all of those are over, in the proxy too. */
  async sameOnBothLegs(connections: number): Promise<void> {
    await waitFor(() => this.#near.connections >= connections && this.#near.allOver && this.#far.allOver, {
      what: 'all connections to be over',
    });
    const near = this.#near.takeRecordings();
    assert.equal(near.length, connections);
    assert.deepEqual(this.#far.takeRecordings(), near, `${this.name}: the legs differ`);
    await this.proxy.sessionsClosed();
    this.proxy.assertNothingDied();
  }

  async takeUp(): Promise<void> {
    await this.proxy.service.kill9();
    this.#near.stop();
    this.#far.stop();
  }
}
