// A broker with two doors: one that is always open, for the test itself, and one through a fault proxy, for what is tested.
import { freePorts, type KafkaBroker } from '@mirrorstream/local';
import type { CleanUp } from './databases.ts';
import { FaultProxy } from './fault-proxy.ts';
import { startKafka, temporaryDirectory } from './servers.ts';

export interface FaultyKafka {
  /** `bootstrap` is the open door. */
  readonly broker: KafkaBroker;
  readonly proxy: FaultProxy;
  /** `127.0.0.1:port` of the proxy. The broker tells those who come this way to come this way again. */
  readonly throughProxy: string;
}

/** Ends with the test. `settings`: further broker settings. */
export async function startFaultyKafka(
  cleanUp: CleanUp,
  settings: Readonly<Record<string, string>> = {},
): Promise<FaultyKafka> {
  const [port, faultyPort, controllerPort] = (await freePorts(3)) as [number, number, number];
  const proxy = await FaultProxy.start({ upstream: { host: '127.0.0.1', port: faultyPort } }, cleanUp);
  const broker = await startKafka({
    dataDir: await temporaryDirectory('faulty-kafka'),
    port,
    settings: {
      'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort},FAULTY://127.0.0.1:${faultyPort}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},FAULTY://${proxy.address}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,FAULTY:PLAINTEXT',
      ...settings,
    },
  });
  cleanUp.after(async () => void (await broker.kill9()));
  return { broker, proxy, throughProxy: proxy.address };
}
