// The findings contract `mirrorstream.findings/1`: aggregates as the comparer publishes them, and what people are shown of them.
//
// Fields are only ever added. Times are µs of the wall clock at which the mirror answered, unless said otherwise; JSON numbers hold them
// exactly until the year 2255. Offsets are decimal strings.
import { notComparedReasons, type Status, statementClasses } from '@mirrorstream/domain';
import { z } from 'zod';
import { findingStatuses } from './states.ts';

export const findingsSchemaName = 'mirrorstream.findings/1';

const count = z.number().int().nonnegative();
const atUs = z.number().nonnegative();
const offset = z.string().regex(/^\d{1,20}$/);
const className = z.enum(statementClasses);

/** A histogram of µs in buckets of equal ratio (latency-sketch.ts): bucket `first` + i holds `counts[i]` values. */
export const sketchSchema = z.object({ first: z.number().int(), counts: z.array(count) });
export type SketchData = z.infer<typeof sketchSchema>;

/** Count, mean and sum of squared deviations (Welford): mergeable, and enough for a mean with its interval. */
export const momentsSchema = z.object({ n: count, mean: z.number(), m2: z.number().nonnegative() });
export type Moments = z.infer<typeof momentsSchema>;

/** What one side answered, for people. Raw bytes are base64 of backend frames of the exchange, capped; absent: not kept, or redacted. */
const answerSchema = z.object({
  end: z.string(),
  commandTag: z.string(),
  rows: count,
  sqlState: z.string(),
  latencyUs: count,
  raw: z.string().optional(),
  /** Rows of this statement left out before the first one in `raw`. */
  rowsBefore: count.optional(),
});
export type ExemplarAnswer = z.infer<typeof answerSchema>;

/** One kept statement of a class. The envelope is `partition:offset:index`, as in verdicts. */
export const exemplarSchema = z.object({
  envelope: z.object({
    partition: count,
    offset,
    index: count,
    sessionId: z.string(),
    sessionSeq: offset,
    part: count,
  }),
  resultOffset: offset,
  exchange: count,
  /** Position in the exchange. */
  statement: count,
  atUs,
  detail: z.string(),
  columns: z.array(z.string()),
  /** As sent, capped; absent: redacted. */
  sql: z.string().optional(),
  captured: answerSchema.optional(),
  replayed: answerSchema.optional(),
  rawTruncated: z.boolean(),
  /** The raws hold this statement's frames alone; else those of its exchange, in which it is number `statement`. */
  rawAlone: z.boolean(),
  /** For `suspect`: what it follows from. */
  cause: z
    .object({
      fingerprint: z.string(),
      class: z.string(),
      sessionId: z.string(),
      sessionSeq: offset,
      offset,
      index: count,
      via: z.string(),
      wouldBe: z.string(),
    })
    .optional(),
});
export type Exemplar = z.infer<typeof exemplarSchema>;

/** Statements of one shape and one class. */
export const classCountSchema = z.object({
  count,
  firstSeenUs: atUs,
  lastSeenUs: atUs,
  /** Per column that differed: statements. A statement counts in each of its columns. Bounded; what came later is in `otherColumns`. */
  columns: z.array(z.object({ name: z.string(), count })),
  otherColumns: count,
  /** Per set of columns that differed together (names sorted): each statement is in one. Bounded; the rest is in `otherSets`. */
  columnSets: z.array(z.object({ columns: z.array(z.string()), count })),
  otherSets: count,
  exemplars: z.array(exemplarSchema),
});
export type ClassCount = z.infer<typeof classCountSchema>;

/** SQLSTATE production answered → the mirror's; empty: no error. */
const errorTransitionSchema = z.object({ captured: z.string(), replayed: z.string(), count });
export type ErrorTransition = z.infer<typeof errorTransitionSchema>;

/** Calls that both sides answered without an error, and whose time says something. */
export const latencySchema = z.object({
  captured: sketchSchema,
  replayed: sketchSchema,
  /** Of ln(replayed / captured), call by call. */
  logRatio: momentsSchema,
  /** Of replayed − captured in µs, call by call. */
  differenceUs: momentsSchema,
});
export type LatencyData = z.infer<typeof latencySchema>;

/** Where time went, sums in µs. `queue`: from the moment pacing wanted a transaction sent until it was, said at its first statement. */
export const timeSumsSchema = z.object({
  queueUs: z.number().nonnegative(),
  executeUs: z.number().nonnegative(),
  capturedUs: z.number().nonnegative(),
});
export type TimeSums = z.infer<typeof timeSumsSchema>;

/** Everything about one statement shape of one mirror and run: of one partition as published, or merged. */
export const aggregateSchema = z.object({
  fingerprint: z.string(),
  /** Capped. */
  normalizedSql: z.string(),
  verb: z.string(),
  tables: z.array(z.string()),
  /** Statements counted: the sum over `classes`. */
  calls: count,
  classes: z.partialRecord(className, classCountSchema),
  notCompared: z.partialRecord(z.enum(notComparedReasons), count),
  errors: z.array(errorTransitionSchema),
  /** Error statements whose pair of SQLSTATEs found no room. */
  otherErrors: count,
  latency: latencySchema,
  time: timeSumsSchema,
  /** Statements of any shape that are `suspect` because of this one, by the class that this one had. */
  suspects: z.partialRecord(className, count),
  firstSeenUs: atUs,
  lastSeenUs: atUs,
  /** The same by production's clock. */
  firstCapturedUs: atUs,
  lastCapturedUs: atUs,
});
export type Aggregate = z.infer<typeof aggregateSchema>;

/**
 * The value of one record of `<environment>.<mirror>.findings`. Key: `<partition>/<fingerprint>/<from>`. It holds this partition's results
 * with offsets in [from, upTo) and no others; a shape that was forgotten under memory pressure goes on in a record with a later `from`.
 */
export const aggregateRecordSchema = z.object({
  schema: z.literal(findingsSchemaName),
  environment: z.string(),
  mirror: z.string(),
  run: z.string(),
  partition: count,
  from: offset,
  upTo: offset,
  aggregate: aggregateSchema,
});
export type AggregateRecord = z.infer<typeof aggregateRecordSchema>;

export const aggregateKey = (partition: number, fingerprint: string, from: string): string =>
  `${partition}/${fingerprint}/${from}`;

/** A share with its interval. */
const rateSchema = z.object({ value: z.number(), low: z.number(), high: z.number() });
export type Rate = z.infer<typeof rateSchema>;

export const decisions = ['real', 'noise', 'undecided'] as const;
export type Decision = (typeof decisions)[number];
export const severities = ['breaks', 'changes', 'minor', 'info'] as const;
export type Severity = (typeof severities)[number];

/** The same class (or column) on the control mirrors, and what comes of the comparison. */
const noiseSchema = z.object({
  count,
  /** Statements of this shape compared on the control mirrors; 0: none, noise is not known. */
  compared: count,
  rate: rateSchema,
  /** Of raw − noise. */
  excess: rateSchema,
});
export type Noise = z.infer<typeof noiseSchema>;

const judgedCount = {
  count,
  /** Of the statements compared. */
  rate: rateSchema,
  /** null: no control mirror saw this shape. */
  noise: noiseSchema.nullable(),
  decision: z.enum(decisions),
  /** One line for people: `raw 3.1 % [2.8, 3.4], noise 2.9 % [2.6, 3.2], n = 1200 / 1180`, and what follows. */
  why: z.string(),
};

export const findingSchema = z.object({
  /** 12 hexadecimal digits of fingerprint and class: the same in every run and on every mirror. */
  id: z.string(),
  fingerprint: z.string(),
  class: className,
  severity: z.enum(severities),
  normalizedSql: z.string(),
  verb: z.string(),
  tables: z.array(z.string()),
  calls: count,
  /** calls − notCompared. */
  compared: count,
  ...judgedCount,
  columns: z.array(z.object({ name: z.string(), ...judgedCount })),
  status: z.enum(findingStatuses),
  /** Who said so, when and why; absent for `open`. */
  statusBy: z.object({ by: z.string(), reason: z.string(), atMs: count }).optional(),
  /** Statements that a suppression in force hides, of `count`; the finding is `suppressed` when it hides all of them. */
  hidden: count,
  /** Those that hide some of it. */
  suppressions: z.array(z.string()),
  /** Those that would, had they not expired. */
  expiredSuppressions: z.array(z.string()),
  /** Consequences of this shape's divergences: counted as `suspect`, wherever they showed. */
  suspects: count,
  errors: z.array(errorTransitionSchema),
  firstSeenUs: atUs,
  lastSeenUs: atUs,
  exemplars: z.array(exemplarSchema),
});
export type Finding = z.infer<typeof findingSchema>;

export const performanceDecisions = ['regression', 'improvement', 'same', 'undecided', 'tooFew'] as const;
export type PerformanceDecision = (typeof performanceDecisions)[number];

const percentilesSchema = z.object({ p50Us: z.number(), p95Us: z.number(), p99Us: z.number() });
export type Percentiles = z.infer<typeof percentilesSchema>;

export const performanceEntrySchema = z.object({
  fingerprint: z.string(),
  normalizedSql: z.string(),
  verb: z.string(),
  tables: z.array(z.string()),
  /** Calls with both times, errors excluded. */
  samples: count,
  captured: percentilesSchema,
  replayed: percentilesSchema,
  /** Geometric mean of replayed / captured, with its interval. */
  ratio: rateSchema,
  /** Mean of replayed − captured. */
  differenceUs: rateSchema,
  /** samples × mean difference: what the mirror takes longer in all; negative: it is faster. */
  totalLostUs: z.number(),
  /** The same shape on the control mirrors: what replay itself costs. null: not known. */
  control: z.object({ samples: count, ratio: rateSchema }).nullable(),
  /** ratio, divided by the control's where that is known. */
  netRatio: rateSchema,
  decision: z.enum(performanceDecisions),
  why: z.string(),
});
export type PerformanceEntry = z.infer<typeof performanceEntrySchema>;

/** One server, as far as somebody asked it. Facts by name: `version`, settings. */
export interface ServerFacts {
  readonly role: 'source' | 'mirror' | 'control';
  readonly name: string;
  readonly facts: Readonly<Record<string, string>>;
}

export interface FindingsScope {
  readonly environment: string;
  readonly mirror: string;
  /** `live`, or the name of a run. */
  readonly run: string;
  /** Of production's clock; null: all there is. */
  readonly window: { readonly fromMs: number; readonly toMs: number } | null;
}

/** Aggregates of one control mirror, merged over its partitions. */
export interface ControlAggregates {
  readonly mirror: string;
  readonly run: string;
  readonly aggregates: readonly Aggregate[];
}

/** All a report is made of. */
export interface ReportInput {
  readonly scope: FindingsScope;
  readonly atMs: number;
  readonly status: Status | null;
  /** Merged over partitions: one per fingerprint. */
  readonly aggregates: readonly Aggregate[];
  readonly controls: readonly ControlAggregates[];
  readonly findings: readonly Finding[];
  readonly performance: readonly PerformanceEntry[];
  readonly suppressions: readonly SuppressionCount[];
  readonly servers: readonly ServerFacts[];
}

/** A suppression with what it hides now. */
export const suppressionCountSchema = z.object({
  id: z.string(),
  owner: z.string(),
  reason: z.string(),
  createdAtMs: count,
  expiresAtMs: count,
  scope: z.object({
    fingerprint: z.string().optional(),
    class: className.optional(),
    column: z.string().optional(),
    table: z.string().optional(),
  }),
  state: z.enum(['inForce', 'expired']),
  /** Statements. Of an expired one: what it would hide. */
  hides: count,
  findings: count,
});
export type SuppressionCount = z.infer<typeof suppressionCountSchema>;
