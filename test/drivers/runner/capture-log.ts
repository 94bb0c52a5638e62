// Follows what proxies publish, and sorts it by session.
import { envelopesTopic } from '@mirrorstream/domain';
import { decodeEnvelopeBatch, type Envelope, type Gap } from '@mirrorstream/envelope';
import { connectKafka } from '@mirrorstream/kafka';
import { waitFor } from '@mirrorstream/testkit';

/** A client's connection as capture saw it. */
export interface CapturedSession {
  readonly id: string;
  readonly database: string;
  readonly applicationName: string;
  /** Each the parts of one transaction, in order. */
  readonly transactions: readonly (readonly Envelope[])[];
  readonly hasEnded: boolean;
}

interface OpenSession {
  readonly id: string;
  readonly database: string;
  readonly applicationName: string;
  readonly transactions: Map<bigint, Envelope[]>;
  hasEnded: boolean;
}

export interface CaptureLog {
  /** Waits until all sessions of a database have ended, completely by the caller's measure, and returns them in the order in which they began. */
  sessionsOf(
    database: string,
    isComplete: (sessions: readonly CapturedSession[]) => boolean,
  ): Promise<readonly CapturedSession[]>;
  gaps(): readonly Gap[];
  /** Whether these bytes are anywhere in a record. */
  contains(text: string): boolean;
  close(): Promise<void>;
}

export async function followCapture(brokers: string, sourceNames: readonly string[]): Promise<CaptureLog> {
  const client = connectKafka({ brokers: [brokers], clientId: 'test' });
  const sessions = new Map<string, OpenSession>();
  const values: Buffer[] = [];
  const gaps: Gap[] = [];
  let crash: Error | undefined;
  const take = (value: Buffer): void => {
    values.push(value);
    for (const { record } of decodeEnvelopeBatch(value).records) {
      if (record.case === 'sessionStart') {
        const { sessionId: id, context } = record.value;
        const names = context?.startupParameters.filter(({ name }) => name === 'application_name') ?? [];
        const applicationName = names.at(-1)?.value ?? '';
        const database = context?.database ?? '';
        sessions.set(id, { id, database, applicationName, transactions: new Map(), hasEnded: false });
      } else if (record.case === 'envelope') {
        const transactions = sessions.get(record.value.sessionId)?.transactions;
        const parts = transactions?.get(record.value.sessionSeq) ?? [];
        // A request that Kafka answered too late is sent again.
        if (!parts.some(({ part }) => part === record.value.part)) parts.push(record.value);
        transactions?.set(record.value.sessionSeq, parts);
      } else if (record.case === 'sessionEnd') {
        const session = sessions.get(record.value.sessionId);
        if (session !== undefined) session.hasEnded = true;
      } else if (record.case === 'gap') gaps.push(record.value);
    }
  };
  await client.follow(
    sourceNames.map(envelopesTopic),
    'earliest',
    ({ records }) => {
      for (const { value } of records) if (value !== null) take(value);
    },
    (error) => {
      crash = error;
    },
  );
  const sessionsOf: CaptureLog['sessionsOf'] = (database, isComplete) => {
    const ended = (): readonly CapturedSession[] | undefined => {
      if (crash !== undefined) throw crash;
      const found = [...sessions.values()].filter((session) => session.database === database);
      const asTold = found.map((session) => ({ ...session, transactions: [...session.transactions.values()] }));
      return asTold.every(({ hasEnded }) => hasEnded) && isComplete(asTold) ? asTold : undefined;
    };
    return waitFor(ended, { what: `the captured sessions of ${database} to end` });
  };
  return {
    sessionsOf,
    gaps: () => gaps,
    contains: (text) => values.some((value) => value.includes(text)),
    close: () => client.close(),
  };
}
