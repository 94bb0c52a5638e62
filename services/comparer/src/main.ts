// Composition root of the comparer.
import { deadLetterTopic, findingsTopic, resultsTopic, statusTopic, verdictsTopic } from '@mirrorstream/domain';
import { connectKafka } from '@mirrorstream/kafka';
import { type RunningService, runService, type ServiceKit, waitForTopic } from '@mirrorstream/service-kit';
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
  const [sql, admin, verdictProducer, checkpointProducer, findingsProducer] = await Promise.all([
    createSqlAnalyzer(config.fingerprintCache),
    client.admin(),
    client.producer(),
    client.producer({ compression: 'zstd' }),
    client.producer({ compression: 'zstd' }),
  ]);
  const { environment, mirror, run } = config;
  const required = [resultsTopic(environment, mirror, run), verdictsTopic(environment, mirror, run), statusTopic];
  const wait = {
    deadlineMs: config.topicsDeadlineMs,
    stage: 'comparer',
    hint: 'Start the mirror with `mirrorstream up`, or make the topics of the mirror first.',
  };
  for (const topic of required) await waitForTopic(admin, topic, wait);
  const partitions = {
    deadLetters: await waitForTopic(admin, deadLetterTopic(environment, mirror, run), wait),
    findings: await waitForTopic(admin, findingsTopic(environment, mirror, run), wait),
  };
  const parts = { client, admin, verdictProducer, checkpointProducer, findingsProducer, sql };
  const comparer = new Comparer(config, kit, parts, partitions);
  await comparer.start();
  kit.ready({ environment, mirror, run, instance: config.instance, partitions: comparer.partitions.length });
  return comparer;
}
