// The name of an envelope as verdicts, findings and reports print it: partition, offset and index in the envelopes topic.
import { MirrorstreamError } from '@mirrorstream/domain';

export interface EnvelopeName {
  readonly partition: number;
  readonly offset: bigint;
  /** Position in the records of the batch at that offset. */
  readonly index: number;
}

export const formatEnvelopeName = ({ partition, offset, index }: EnvelopeName): string =>
  `${partition}:${offset}:${index}`;

/** null when it is no such name. */
export function parseEnvelopeName(text: string): EnvelopeName | null {
  const match = /^(\d{1,9}):(\d{1,19}):(\d{1,9})$/.exec(text);
  if (match === null) return null;
  return { partition: Number(match[1]), offset: BigInt(match[2] ?? ''), index: Number(match[3]) };
}

/** Throws `badInput`. */
export function readEnvelopeName(command: string, text: string | undefined): EnvelopeName {
  const name = text === undefined ? null : parseEnvelopeName(text);
  if (name !== null) return name;
  throw new MirrorstreamError(
    'badInput',
    text === undefined
      ? `${command} needs the name of an envelope`
      : `${JSON.stringify(text.slice(0, 40))} names no envelope`,
    { stage: command, hint: 'It is PARTITION:OFFSET:INDEX, for instance 3:18204:0, as verdicts and reports print it.' },
  );
}
