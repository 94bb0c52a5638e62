// Composition root of the replayer.
import { envelopesTopic, liveRun } from '@mirrorstream/domain';
import { connectKafka } from '@mirrorstream/kafka';
import { Credentials, readTargetAddresses } from '@mirrorstream/pg-target';
import {
  ensureMirrorTopics,
  ensureProgressTopic,
  ensureStatusTopic,
  type RunningService,
  runService,
  type ServiceKit,
  waitForTopic,
} from '@mirrorstream/service-kit';
import { parseReplayerConfig, type ReplayerConfig, replayerFlags } from './config.ts';
import { IdKeeper } from './ids/id-keeper.ts';
import { Replayer } from './replayer.ts';
import { readRunPlan } from './run-plan.ts';
import { readSeedPlan } from './seed.ts';
import { SourceWatch } from './target/source-watch.ts';

/** Runs the replayer until it stops; resolves with the exit code. */
export function main(argv: readonly string[]): Promise<number> {
  return runService(
    {
      name: 'replayer',
      summary: 'plays captured transactions to one mirror and publishes what it answered',
      flags: replayerFlags,
      parse: parseReplayerConfig,
      start,
    },
    argv,
  );
}

async function start(config: ReplayerConfig, kit: ServiceKit): Promise<RunningService> {
  const addresses = await readTargetAddresses(config.target.url, process.env);
  const credentials = new Credentials(config.target.credentials, process.env);
  await credentials.check();
  const client = connectKafka(config.kafka, kit.logger);
  const [admin, producer, statusProducer] = await Promise.all([
    client.admin(),
    client.producer({ compression: 'zstd' }),
    client.producer(),
  ]);
  const { environment, mirror, source, run, instance } = config;
  const partitions = await waitForTopic(admin, envelopesTopic(source), {
    deadlineMs: config.limits.topicsDeadlineMs,
    stage: 'replayer',
    hint: 'Start the capture proxy of this source first, or correct --source-name.',
  });
  await ensureMirrorTopics(admin, environment, mirror, { partitions }, run);
  await ensureStatusTopic(admin);
  const plan = run === liveRun ? null : await readRunPlan(client, kit.logger, config);
  if (config.order.keeps) await ensureProgressTopic(admin, environment, mirror, run);
  const onCrash = (error: Error): void => kit.fatal(error);
  const watch = await SourceWatch.start({ client, logger: kit.logger, source, onCrash });
  const seed = run === liveRun ? await readSeedPlan(client, admin, environment, mirror) : null;
  const kafka = { client, admin, producer, statusProducer, partitionCount: partitions };
  const { ids: idConfig, limits } = config;
  const ids =
    idConfig === null
      ? null
      : await IdKeeper.create({ config: idConfig, timeoutMs: limits.connectTimeoutMs, logger: kit.logger });
  const parts = { ...kafka, addresses, credentials, plan, seed, source: watch, ids };
  const replayer = new Replayer(config, kit, parts);
  await replayer.start();
  kit.ready({ environment, mirror, source, run, instance, partitions: replayer.partitionCount });
  return replayer;
}
