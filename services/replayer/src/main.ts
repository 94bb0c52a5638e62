// Composition root of the replayer.
import { envelopesTopic } from '@mirrorstream/domain';
import { connectKafka } from '@mirrorstream/kafka';
import { readTargetAddress } from '@mirrorstream/pg-target';
import {
  ensureMirrorTopics,
  ensureStatusTopic,
  type RunningService,
  runService,
  type ServiceKit,
  waitForTopic,
} from '@mirrorstream/service-kit';
import { parseReplayerConfig, type ReplayerConfig, replayerFlags } from './config.ts';
import { Replayer } from './replayer.ts';

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
  const address = await readTargetAddress(config.target, process.env);
  const client = connectKafka(config.kafka, kit.logger);
  const [admin, producer, statusProducer] = await Promise.all([
    client.admin(),
    client.producer({ compression: 'zstd' }),
    client.producer(),
  ]);
  const { environment, mirror, source, instance } = config;
  const partitions = await waitForTopic(admin, envelopesTopic(source), {
    deadlineMs: config.limits.topicsDeadlineMs,
    stage: 'replayer',
    hint: 'Start the capture proxy of this source first, or correct --source-name.',
  });
  await ensureMirrorTopics(admin, environment, mirror, { partitions });
  await ensureStatusTopic(admin);
  const replayer = new Replayer(config, kit, { client, admin, producer, statusProducer, address });
  await replayer.start();
  kit.ready({ environment, mirror, source, instance, partitions: replayer.partitionCount });
  return replayer;
}
