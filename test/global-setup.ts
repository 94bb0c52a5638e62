// Starts the servers of a test run once, in parallel, and tells every test process where they answer.
import { rm } from 'node:fs/promises';
import type { KafkaFetchProgress } from '@mirrorstream/local';
import {
  type SharedServerName,
  sharedKafkaVariable,
  sharedPostgresVariable,
  sharedServers,
  startKafka,
  startPostgres,
} from '@mirrorstream/testkit';

type Stop = () => Promise<unknown>;
const stops: Stop[] = [];

/** Called by node:test before the first test file; what it puts into the environment reaches every one. */
export async function globalSetup(): Promise<void> {
  const starts = [shareKafka(), ...(Object.keys(sharedServers) as SharedServerName[]).map(sharePostgres)];
  const failed = (await Promise.allSettled(starts)).find((start) => start.status === 'rejected');
  if (failed === undefined) return;
  await globalTeardown();
  throw failed.reason;
}

/** Called by node:test after the last test file. */
export async function globalTeardown(): Promise<void> {
  await Promise.allSettled(stops.splice(0).map((stop) => stop()));
}

async function shareKafka(): Promise<void> {
  const { bootstrap, host, port, stop } = await startKafka({ onProgress: sayProgress });
  stops.push(stop);
  process.env[sharedKafkaVariable] = JSON.stringify({ bootstrap, host, port });
}

async function sharePostgres(name: SharedServerName): Promise<void> {
  const server = await startPostgres({ name, major: sharedServers[name] });
  stops.push(async () => {
    await server.stop();
    await rm(server.dataDir, { recursive: true, force: true });
  });
  const { major, host, port, superuser, url } = server;
  process.env[sharedPostgresVariable(name)] = JSON.stringify({ name, major, host, port, superuser, url });
}

let told = '';

/** The first run fetches Kafka, which takes a while: that must not look like a hang. */
function sayProgress({ phase, jars, sizeBytes }: KafkaFetchProgress): void {
  const text = `npm test: fetching Kafka (once): ${phase}, ${jars} jars, ${Math.round(sizeBytes / 1e6)} MB`;
  if (text !== told) process.stderr.write(`${text}\n`);
  told = text;
}
