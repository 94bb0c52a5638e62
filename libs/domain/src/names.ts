// Names of topics, consumer groups and snapshot keys: the one place that spells them.
import { MirrorstreamError } from './errors.ts';

/** Every service reads its configuration snapshots and writes its counters here (compacted, one partition). */
export const statusTopic = 'mirrorstream.status';
/** What operators want, and running services follow (compacted, one partition). */
export const controlTopic = 'mirrorstream.control';

export const envelopesTopic = (source: string): string => `${source}.envelopes`;
/** The replay that follows production, which has no name of its own; every other run is a history replay with a name. */
export const liveRun = 'live';

/** Of a mirror, or of one run on it: a run's records never mix with those of the live replay or of another run. */
const mirrorPrefix = (environment: string, mirror: string, run: string): string =>
  run === liveRun ? `${environment}.${mirror}` : `${environment}.${mirror}.${run}`;

export const resultsTopic = (environment: string, mirror: string, run: string = liveRun): string =>
  `${mirrorPrefix(environment, mirror, run)}.results`;
export const verdictsTopic = (environment: string, mirror: string, run: string = liveRun): string =>
  `${mirrorPrefix(environment, mirror, run)}.verdicts`;
/** What the comparer's verdicts come to, per statement shape (compacted; partitions as the results'). */
export const findingsTopic = (environment: string, mirror: string, run: string = liveRun): string =>
  `${mirrorPrefix(environment, mirror, run)}.findings`;
export const deadLetterTopic = (environment: string, mirror: string, run: string = liveRun): string =>
  `${mirrorPrefix(environment, mirror, run)}.dead-letter`;
/** What a mirror's replayers tell each other of how far they are (ordered pacing; one partition). */
export const progressTopic = (environment: string, mirror: string, run: string = liveRun): string =>
  `${mirrorPrefix(environment, mirror, run)}.progress`;
export const replayerGroup = (environment: string, mirror: string, run: string = liveRun): string =>
  `${mirrorPrefix(environment, mirror, run)}.replayer`;
export const comparerGroup = (environment: string, mirror: string, run: string = liveRun): string =>
  `${mirrorPrefix(environment, mirror, run)}.comparer`;

/** Query plans taken for a mirror's statements, on it and on the source (compacted, one partition). */
export const plansTopic = (environment: string, mirror: string): string => `${environment}.${mirror}.plans`;

const namePattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Checks a source, mirror or environment name; they become parts of topic names. Throws `badInput`. */
export function checkName(kind: 'source' | 'mirror' | 'environment' | 'capture node' | 'run', name: string): string {
  if (namePattern.test(name)) return name;
  throw new MirrorstreamError('badInput', `${kind} name ${JSON.stringify(name)} is not usable`, {
    stage: 'configuration',
    hint: 'Use lower-case letters, digits and hyphens, at most 63, beginning with a letter or digit.',
  });
}
