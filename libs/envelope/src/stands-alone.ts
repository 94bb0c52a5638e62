// Whether an envelope can be replayed on a fresh connection, and if not, why: one answer for every consumer.
import { DependencyReason, type Envelope } from './gen/mirrorstream/v1/envelope_pb.ts';

/** Names of the reasons, as they are shown and counted. A closed list: a reason of a later version is `unknownReason`. */
export type StandsAloneReason =
  | 'tempTable'
  | 'advisoryLock'
  | 'listen'
  | 'heldCursor'
  | 'afterGap'
  | 'unknownStatement'
  | 'unknownMessage'
  | 'unknownSetting'
  | 'sequenceValue'
  | 'snapshot'
  | 'noContext'
  | 'unknownReason';

const nameOf: Readonly<Record<number, StandsAloneReason>> = {
  [DependencyReason.TEMP_TABLE]: 'tempTable',
  [DependencyReason.ADVISORY_LOCK]: 'advisoryLock',
  [DependencyReason.LISTEN]: 'listen',
  [DependencyReason.HELD_CURSOR]: 'heldCursor',
  [DependencyReason.AFTER_GAP]: 'afterGap',
  [DependencyReason.UNKNOWN_STATEMENT]: 'unknownStatement',
  [DependencyReason.UNKNOWN_MESSAGE]: 'unknownMessage',
  [DependencyReason.UNKNOWN_SETTING]: 'unknownSetting',
  [DependencyReason.SEQUENCE_VALUE]: 'sequenceValue',
  [DependencyReason.SNAPSHOT]: 'snapshot',
};

export interface StandsAlone {
  readonly standsAlone: boolean;
  /** Empty when it stands alone; otherwise why not, each once, in the order of the schema. */
  readonly reasons: readonly StandsAloneReason[];
}

const ALONE: StandsAlone = { standsAlone: true, reasons: [] };

/**
 * Of an envelope, or of a part: a later part has no context of its own (`noContext`) and goes where its first part went. With the
 * first part's context applied, an envelope that stands alone is answered as it was, given the same data. A part says what is known
 * when it is published: of a transaction in several parts, the reasons of all of them count.
 */
export function standsAlone(envelope: Pick<Envelope, 'context' | 'dependsOnSession'>): StandsAlone {
  const { context, dependsOnSession } = envelope;
  if (context !== undefined && dependsOnSession.length === 0) return ALONE;
  const known = new Set(dependsOnSession.map((reason) => nameOf[reason] ?? 'unknownReason'));
  const reasons = [...Object.values(nameOf), 'unknownReason' as const].filter((reason) => known.has(reason));
  return { standsAlone: false, reasons: context === undefined ? [...reasons, 'noContext'] : reasons };
}
