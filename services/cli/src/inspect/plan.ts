// A query plan as it was taken and stored: its shape, its tree as lines for people, and when another one may be taken.
import { z } from 'zod';
import { harmless } from '../view/text.ts';

export const planSides = ['mirror', 'source'] as const;
export type PlanSide = (typeof planSides)[number];

export const storedPlanSchema = z.object({
  schema: z.literal('mirrorstream.plan/1'),
  fingerprint: z.string(),
  side: z.enum(planSides),
  atMs: z.number().nonnegative(),
  /** Whose parameters it was planned with: `partition:offset:index`. */
  envelope: z.string(),
  serverVersion: z.string(),
  normalizedSql: z.string(),
  /** As EXPLAIN (FORMAT JSON) answers. Conditions in it hold values. */
  plan: z.unknown(),
});
export type StoredPlan = z.infer<typeof storedPlanSchema>;

/** So many plans of a statement on a side, in so long a time. */
export const planQuota = 2;
export const planQuotaMs = 15 * 60_000;

/** When the next one may be taken, ms since the epoch; null: now. */
export function nextPlanAtMs(
  stored: readonly StoredPlan[],
  fingerprint: string,
  side: PlanSide,
  nowMs: number,
): number | null {
  const recent = stored
    .filter((one) => one.fingerprint === fingerprint && one.side === side && one.atMs > nowMs - planQuotaMs)
    .map(({ atMs }) => atMs)
    .sort((a, b) => b - a);
  const oldest = recent[planQuota - 1];
  return oldest === undefined ? null : oldest + planQuotaMs;
}

/** Two per statement and side: the newer one takes the older one's place. */
export function planKey(stored: readonly StoredPlan[], fingerprint: string, side: PlanSide): string {
  const taken = stored.filter((one) => one.fingerprint === fingerprint && one.side === side).length;
  return `${fingerprint}/${side}/${taken % planQuota}`;
}

const maxDepth = 40;
const maxLines = 200;
const conditions = [
  'Index Cond',
  'Recheck Cond',
  'Filter',
  'Join Filter',
  'Hash Cond',
  'Merge Cond',
  'TID Cond',
] as const;

/** The tree, one node a line; conditions only where values may be shown. */
export function planLines({ plan }: Pick<StoredPlan, 'plan'>, showValues: boolean): readonly string[] {
  const lines: string[] = [];
  nodeLines(rootOf(plan), 0, showValues, lines);
  return lines.slice(0, maxLines);
}

/** Node types and what they read, without costs: equal for two plans of one shape. */
export function planShape({ plan }: Pick<StoredPlan, 'plan'>): string {
  const lines: string[] = [];
  nodeLines(rootOf(plan), 0, false, lines, false);
  return lines.join('\n');
}

/** Total cost as the planner sees it; null: it is no plan. */
export function planCost({ plan }: Pick<StoredPlan, 'plan'>): number | null {
  const cost = field(rootOf(plan), 'Total Cost');
  return typeof cost === 'number' ? cost : null;
}

const field = (node: unknown, key: string): unknown =>
  typeof node === 'object' && node !== null ? (node as Record<string, unknown>)[key] : undefined;

const rootOf = (plan: unknown): unknown => field(Array.isArray(plan) ? plan[0] : plan, 'Plan');

function nodeLines(node: unknown, depth: number, showValues: boolean, lines: string[], costs = true): void {
  if (depth > maxDepth || lines.length >= maxLines || typeof node !== 'object' || node === null) return;
  const indent = '  '.repeat(depth);
  const text = (key: string): string => {
    const value = field(node, key);
    return typeof value === 'string' ? harmless(value.slice(0, 200)) : '';
  };
  const number = (key: string): string => String(field(node, key) ?? '?');
  const on = [text('Relation Name'), text('Index Name') === '' ? '' : `using ${text('Index Name')}`].filter(
    (one) => one !== '',
  );
  const kind = [text('Strategy') === '' ? '' : text('Strategy'), text('Join Type')].filter((one) => one !== '');
  const cost = costs
    ? `  (cost ${number('Total Cost')}, rows ${number('Plan Rows')}, width ${number('Plan Width')})`
    : '';
  lines.push(
    `${indent}${text('Node Type')}${kind.length > 0 ? ` [${kind.join(' ')}]` : ''}${on.length > 0 ? ` on ${on.join(' ')}` : ''}${cost}`,
  );
  if (showValues) for (const name of conditions) if (text(name) !== '') lines.push(`${indent}  ${name}: ${text(name)}`);
  const children = field(node, 'Plans');
  if (Array.isArray(children)) for (const child of children) nodeLines(child, depth + 1, showValues, lines, costs);
}
