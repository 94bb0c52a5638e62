// When a mirror that falls behind is relieved of work, and of which: the settings of shedding.
import { z } from 'zod';

/** From the least to the most. Each sheds what those before it shed. */
export const shedStages = ['none', 'reads', 'sessions', 'skip'] as const;
export type ShedStage = (typeof shedStages)[number];

const ms = z
  .number()
  .int()
  .min(1)
  .max(7 * 86_400_000)
  .nullable();
const bytes = z.number().int().min(1).nullable();

/** A stage begins at its threshold, in either measure; null: never by that one. All null: nothing is ever shed. */
export const shedSchema = z.strictObject({
  /** How old the oldest transaction is that waits or is under way, since production was done with it. */
  readsBehindMs: ms,
  sessionsBehindMs: ms,
  skipBehindMs: ms,
  /** What is taken from Kafka and not played. */
  readsQueueBytes: bytes,
  sessionsQueueBytes: bytes,
  skipQueueBytes: bytes,
  /** A stage ends below this share of its threshold. */
  recoverShare: z.number().min(0.05).max(0.95),
  /** The share of sessions that is shed changes by a quarter at most this often. */
  stepMs: z.number().int().min(10).max(3_600_000),
});
export type ShedSettings = z.infer<typeof shedSchema>;
export type ShedName = keyof ShedSettings;

export const shedNames = Object.keys(shedSchema.shape) as readonly ShedName[];

export const neverShed: ShedSettings = {
  ...{ readsBehindMs: null, sessionsBehindMs: null, skipBehindMs: null },
  ...{ readsQueueBytes: null, sessionsQueueBytes: null, skipQueueBytes: null },
  recoverShare: 0.5,
  stepMs: 5_000,
};

export const shedThresholds = [
  ['readsBehindMs', 'sessionsBehindMs', 'skipBehindMs'],
  ['readsQueueBytes', 'sessionsQueueBytes', 'skipQueueBytes'],
] as const satisfies readonly (readonly ShedName[])[];

/** What makes settings useless, for people; null: nothing. */
export function shedProblem(settings: ShedSettings): string | null {
  for (const names of shedThresholds) {
    const given = names.filter((name) => settings[name] !== null);
    const wrong = given.find((name, at) => at > 0 && Number(settings[given[at - 1] ?? name]) >= Number(settings[name]));
    if (wrong !== undefined)
      return `${shedFlag(wrong)} must be above ${shedFlag(given[given.indexOf(wrong) - 1] ?? wrong)}: stages begin one after the other`;
  }
  return null;
}

/** `readsBehindMs` is `--shed-reads-behind-ms`. */
export function shedFlag(name: ShedName): string {
  return `--shed-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

const stageHelp: Readonly<Record<string, string>> = {
  reads: 'shed transactions that only read',
  sessions: 'shed whole sessions, too: a quarter of them, and more step by step',
  skip: 'shed everything captured until now',
};

/** A flag for each setting, with its help. */
export const shedFlags = shedNames.map((name) => {
  const stage = name.replace(/[A-Z].*/, '');
  return {
    name: shedFlag(name).slice(2),
    setting: name,
    ...(name === 'recoverShare'
      ? { description: 'a stage of shedding ends below this share of its threshold', placeholder: 'SHARE' }
      : name === 'stepMs'
        ? { description: 'how often the share of sessions that is shed changes at most', placeholder: 'MS' }
        : name.endsWith('Bytes')
          ? { description: `${stageHelp[stage]}, from so much on that waits to be played`, placeholder: 'BYTES' }
          : { description: `${stageHelp[stage]}, once replay is so far behind`, placeholder: 'MS' }),
  };
});
