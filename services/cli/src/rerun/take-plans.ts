// Takes the plans that a rerun asks for, as the quota allows, and keeps them.
import type { Envelope, SessionContext } from '@mirrorstream/envelope';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import type { SourceGuard, TargetAddress } from '@mirrorstream/pg-target';
import { type SqlAnalyzer, transactionCommands } from '@mirrorstream/sql';
import { nextPlanAtMs, type PlanSide, type StoredPlan } from '../inspect/plan.ts';
import { keepPlan, readPlans } from '../inspect/plan-store.ts';
import { RequestReader, type SentStatement, statementOfAnswer } from '../inspect/request-reading.ts';
import { wholeRequests } from '../inspect/whole-requests.ts';
import { explain, whyNotExplained } from './explain.ts';

export interface WantedPlan {
  readonly exchange: number;
  readonly statement: number;
  readonly fingerprint: string;
}

export interface PlanServers {
  readonly mirror: TargetAddress;
  readonly guard: SourceGuard;
  /** null: never on the source. */
  readonly source: TargetAddress | null;
}

export interface PlanPlace {
  readonly environment: string;
  readonly mirror: string;
  /** Name of the envelope. */
  readonly envelope: string;
}

export interface TakenPlans {
  readonly plans: readonly StoredPlan[];
  readonly notes: readonly string[];
}

/** Statements of one transaction, at most. */
const maxStatements = 20;

export async function takePlans(
  { client, admin, sql }: { readonly client: KafkaClient; readonly admin: Admin; readonly sql: SqlAnalyzer },
  place: PlanPlace,
  servers: PlanServers,
  parts: readonly Envelope[],
  wanted: readonly WantedPlan[],
): Promise<TakenPlans> {
  const context = parts[0]?.context;
  const notes: string[] = [];
  if (context === undefined) return { plans: [], notes: ['no plans: whom to connect as was not captured'] };
  let stored = await readPlans(client, admin, place.environment, place.mirror);
  const sent = sentStatements(parts);
  const seen = new Set<string>();
  const sides: readonly PlanSide[] = servers.source === null ? ['mirror'] : ['mirror', 'source'];
  for (const one of wanted.slice(0, maxStatements)) {
    const statement = statementOfAnswer(sent.get(one.exchange) ?? [], one.statement);
    if (statement === null || one.fingerprint === '' || seen.has(one.fingerprint)) continue;
    seen.add(one.fingerprint);
    const where = `exchange ${one.exchange}, statement ${one.statement}`;
    const why = whyNotExplained(statement, transactionCommands(statement.sql));
    if (why !== null) {
      notes.push(`no plan of ${where}: ${why}`);
      continue;
    }
    for (const side of sides) {
      const plan = await takeOne(
        { side, where, statement, context, place, servers, sql, stored, notes },
        one.fingerprint,
      );
      if (plan === null) continue;
      if (await keepPlan(client, admin, place, stored, plan)) stored = [...stored, plan];
      else notes.push(`the plan of ${where} is too large to be kept`);
    }
  }
  if (wanted.length > maxStatements)
    notes.push(`plans of the first ${maxStatements} of ${wanted.length} statements only`);
  return { plans: stored.filter(({ fingerprint }) => seen.has(fingerprint)), notes };
}

interface OnePlan {
  readonly side: PlanSide;
  readonly where: string;
  readonly statement: SentStatement;
  readonly context: SessionContext;
  readonly place: PlanPlace;
  readonly servers: PlanServers;
  readonly sql: SqlAnalyzer;
  readonly stored: readonly StoredPlan[];
  readonly notes: string[];
}

async function takeOne(
  { side, where, statement, context, place, servers, sql, stored, notes }: OnePlan,
  fingerprint: string,
): Promise<StoredPlan | null> {
  const address = side === 'mirror' ? servers.mirror : servers.source;
  if (address === null) return null;
  const nextAtMs = nextPlanAtMs(stored, fingerprint, side, Date.now());
  if (nextAtMs !== null) {
    notes.push(
      `no new plan of ${where} on the ${side} before ${new Date(nextAtMs).toISOString()}: two were taken; they are shown`,
    );
    return null;
  }
  const guard = side === 'mirror' ? servers.guard : null;
  const found = await explain({ address, context, sessionMark: 'explain', guard }, statement);
  if ('why' in found) {
    notes.push(`no plan of ${where} on the ${side}: ${found.why}`);
    return null;
  }
  return {
    schema: 'mirrorstream.plan/1',
    fingerprint,
    side,
    atMs: Date.now(),
    envelope: place.envelope,
    serverVersion: `PostgreSQL ${found.serverVersion}`,
    normalizedSql: sql.normalize(statement.sql).slice(0, 4_000),
    plan: found.plan,
  };
}

function sentStatements(parts: readonly Envelope[]): ReadonlyMap<number, readonly SentStatement[]> {
  const reader = new RequestReader(parts[0]?.context);
  return new Map(wholeRequests(parts).map(({ exchange, request }) => [exchange, reader.read(request)]));
}
