// Composition root of the comparer.
import { deadLetterTopic, MirrorstreamError, resultsTopic, statusTopic, verdictsTopic } from '@mirrorstream/domain';
import { type Admin, connectKafka } from '@mirrorstream/kafka';
import { type RunningService, runService, type ServiceKit } from '@mirrorstream/service-kit';
import { createSqlAnalyzer } from '@mirrorstream/sql';
import { Comparer } from './comparer.ts';
import { type ComparerConfig, comparerFlags, parseComparerConfig } from './config.ts';

/** Runs the comparer until it stops; resolves with the exit code. */
export function main(argv: readonly string[]): Promise<number> {
  return runService(
    {
      name: 'comparer',
      summary: "compares what a mirror answered with what production answered, and keeps the mirror's counts",
      flags: comparerFlags,
      parse: parseComparerConfig,
      start,
    },
    argv,
  );
}

async function start(config: ComparerConfig, kit: ServiceKit): Promise<RunningService> {
  const client = connectKafka(config.kafka, kit.logger);
  const [sql, admin, verdictProducer, checkpointProducer] = await Promise.all([
    createSqlAnalyzer(),
    client.admin(),
    client.producer(),
    client.producer({ compression: 'zstd' }),
  ]);
  const { environment, mirror } = config;
  const required = [resultsTopic(environment, mirror), verdictsTopic(environment, mirror), statusTopic];
  for (const topic of required) await waitForTopic(admin, topic, config.topicsDeadlineMs);
  const deadLetters = await waitForTopic(admin, deadLetterTopic(environment, mirror), config.topicsDeadlineMs);
  const comparer = new Comparer(config, kit, { client, admin, verdictProducer, checkpointProducer, sql }, deadLetters);
  await comparer.start();
  kit.ready({ environment, mirror, instance: config.instance, partitions: comparer.partitions.length });
  return comparer;
}

const TOPIC_EVERY_MS = 200;

/** Resolves with the number of partitions once the topic exists: whoever starts the mirror makes its topics. */
async function waitForTopic(admin: Admin, topic: string, deadlineMs: number): Promise<number> {
  const until = Date.now() + deadlineMs;
  for (;;) {
    const partitions = (await admin.partitionCounts([topic])).get(topic);
    if (partitions !== undefined) return partitions;
    if (Date.now() >= until) break;
    await new Promise((resolve) => setTimeout(resolve, TOPIC_EVERY_MS));
  }
  throw new MirrorstreamError('notReady', `topic ${topic} does not exist`, {
    stage: 'comparer',
    hint: 'Start the mirror with `mirrorstream up`, or make the topics of the mirror first.',
  });
}
