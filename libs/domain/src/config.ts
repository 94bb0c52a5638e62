// The shape of mirrorstream.yaml, and what must hold between its parts. Reading the file is somebody else's job.
import { z } from 'zod';
import { filtersSchema } from './filters.ts';
import { given } from './given.ts';
import { mapIdsSchema } from './history.ts';
import { mirrorRoles } from './mirror-control.ts';
import { pacingModes } from './pacing.ts';
import { neverShed, shedProblem, shedSchema } from './shed.ts';
import { sideEffects } from './side-effects.ts';

const name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    'must be lower-case letters, digits and hyphens, at most 63, beginning with a letter or digit',
  );
const envName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of an environment variable');

/** Names of roles, as they can stand in the replayer's flags. */
const roleName = z.string().regex(/^[^=,\s]+$/, 'must not hold =, commas or blanks');

/** Who a captured user is on the mirror; the password is never written into the file itself. */
const mirrorUserSchema = z.strictObject({
  user: roleName,
  passwordEnv: envName.optional(),
  passwordFile: z.string().min(1).optional(),
});

/** TABLE.COLUMN=TABLE.COLUMN, or =SEQUENCE, as it can stand in the replayer's flags. */
const idReference = z.string().regex(/^[^=,]+\.[^=,]+=[^=,]+$/, 'must be table.column=table.column or =sequence');

/** How a mirror is played; the same words as the replayer's flags. */
const mirrorSchema = z.strictObject({
  /** Where the mirror is. Give one of the two; `urlEnv` keeps a password out of the file. */
  url: z.string().min(1).optional(),
  urlEnv: envName.optional(),
  passwordEnv: envName.optional(),
  passwordFile: z.string().min(1).optional(),
  /** By captured user. */
  users: z.record(roleName, mirrorUserSchema).optional(),
  /** control: the same version and settings as the source; what differs there is noise. */
  role: z.enum(mirrorRoles).optional(),
  readOnly: z.boolean().optional(),
  lanes: z.enum(['session', 'pooled']).optional(),
  maxConnections: z.number().int().min(1).optional(),
  statementTimeoutMs: z.number().int().nonnegative().optional(),
  pacing: z.enum(pacingModes).optional(),
  speed: z.number().min(0.1).max(100).optional(),
  replayDelayMs: z.number().int().nonnegative().max(86_400_000).optional(),
  exposure: z.number().min(0).max(1).optional(),
  filters: filtersSchema.partial().optional(),
  shed: shedSchema.partial().optional(),
  allowSideEffects: z.array(z.enum(sideEffects)).optional(),
  mapIds: mapIdsSchema.optional(),
  mapIdsReferences: z.array(idReference).optional(),
});

const sourceSchema = z.strictObject({
  name: name.optional(),
  /** Of the cluster: no mirror may have it. */
  systemIdentifier: z
    .string()
    .regex(/^\d{1,20}$/, 'must be a decimal number, quoted')
    .optional(),
  url: z.string().min(1).optional(),
  urlEnv: envName.optional(),
});

/** What the proxy shows its clients; the same words as its flags. */
const tlsSchema = z.strictObject({
  mode: z.enum(['off', 'allow', 'require', 'passthrough']).optional(),
  certFile: z.string().min(1).optional(),
  keyFile: z.string().min(1).optional(),
  /** Clients must show a certificate that this authority signed. */
  caFile: z.string().min(1).optional(),
});

const kafkaSchema = z.strictObject({
  brokers: z.array(z.string().min(1)).min(1, 'must name at least one broker').optional(),
  tls: z
    .strictObject({
      caFile: z.string().min(1).optional(),
      certFile: z.string().min(1).optional(),
      keyFile: z.string().min(1).optional(),
      serverName: z.string().min(1).optional(),
    })
    .optional(),
  sasl: z
    .strictObject({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
      username: z.string().min(1),
      passwordEnv: envName.optional(),
      passwordFile: z.string().min(1).optional(),
    })
    .optional(),
});

const orUrl = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (typeof value === 'string' ? { url: value } : value), schema);

/** What mirrorstream.yaml may hold. `source: URL` and `NAME: URL` under `mirrors` are short for `{url: URL}`. */
export const configFileSchema = z.strictObject({
  source: orUrl(sourceSchema).optional(),
  environment: name.optional(),
  listen: z.string().min(1).optional(),
  tls: tlsSchema.optional(),
  workers: z.number().int().min(1).max(64).optional(),
  kafka: kafkaSchema.optional(),
  partitions: z.number().int().min(1).max(512).optional(),
  answers: z.enum(['none', 'digest', 'full']).optional(),
  mirrors: z.record(name, orUrl(mirrorSchema)).optional(),
});
export type ConfigFile = z.infer<typeof configFileSchema>;
export type MirrorConfig = z.infer<typeof mirrorSchema>;

/** One thing that is wrong: where (keys from the top of the file), what, and what to do. */
export interface ConfigIssue {
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly hint?: string;
}

export type ConfigCheck =
  | { readonly kind: 'ok'; readonly config: ConfigFile }
  | { readonly kind: 'invalid'; readonly issues: readonly ConfigIssue[] };

/** Checks a parsed file. Never quotes a value: it may hold a password. */
export function checkConfig(value: unknown): ConfigCheck {
  const parsed = configFileSchema.safeParse(value ?? {});
  if (!parsed.success) return { kind: 'invalid', issues: parsed.error.issues.flatMap(toIssues) };
  const issues = [...relationIssues(parsed.data)];
  return issues.length > 0 ? { kind: 'invalid', issues } : { kind: 'ok', config: parsed.data };
}

/** `mirrors.candidate.speed`; `(top level)` for the file itself. */
export function configPath(path: readonly (string | number)[]): string {
  return path.length === 0 ? '(top level)' : path.join('.');
}

/** The word that was probably meant, if one is near. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  const scored = known.map((candidate) => ({
    candidate,
    distance: editDistance(word.toLowerCase(), candidate.toLowerCase()),
  }));
  scored.sort((a, b) => a.distance - b.distance);
  const best = scored[0];
  return best !== undefined && best.distance <= Math.max(1, Math.floor(word.length / 3)) ? best.candidate : undefined;
}

function toIssues(issue: z.core.$ZodIssue): ConfigIssue[] {
  const path = issue.path.filter((part): part is string | number => typeof part !== 'symbol');
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = keysAt(path);
      return issue.keys.map((key) => {
        const meant = nearestWord(key, known);
        return {
          path: [...path, key],
          message: 'unknown key',
          hint: meant === undefined ? `Known here: ${known.join(', ')}.` : `Did you mean ${meant}?`,
        };
      });
    }
    case 'invalid_key':
      return [{ path, message: issue.issues[0]?.message ?? issue.message }];
    default:
      return [{ path, message: issue.message }];
  }
}

function* relationIssues({ source, kafka, mirrors = {} }: ConfigFile): Iterable<ConfigIssue> {
  if (source !== undefined) yield* oneUrlIssues(['source'], source);
  for (const [mirror, { url, urlEnv, shed, users = {}, ...own }] of Object.entries(mirrors)) {
    yield* oneUrlIssues(['mirrors', mirror], { url, urlEnv });
    const problem = shedProblem({ ...neverShed, ...given(shed) });
    if (problem !== null) yield { path: ['mirrors', mirror, 'shed'], message: problem };
    yield* onePasswordIssues(['mirrors', mirror], own);
    for (const [captured, user] of Object.entries(users))
      yield* onePasswordIssues(['mirrors', mirror, 'users', captured], user);
  }
  if (kafka?.sasl !== undefined && (kafka.sasl.passwordEnv === undefined) === (kafka.sasl.passwordFile === undefined)) {
    yield {
      path: ['kafka', 'sasl'],
      message: 'needs exactly one of passwordEnv and passwordFile',
      hint: 'Passwords are never written into the file itself.',
    };
  }
  if ((kafka?.tls ?? kafka?.sasl) !== undefined && kafka?.brokers === undefined) {
    yield {
      path: ['kafka'],
      message: 'tls and sasl need brokers',
      hint: 'The embedded Kafka listens on loopback only.',
    };
  }
}

function* onePasswordIssues(
  path: readonly string[],
  {
    passwordEnv,
    passwordFile,
  }: { readonly passwordEnv?: string | undefined; readonly passwordFile?: string | undefined },
): Iterable<ConfigIssue> {
  if (passwordEnv === undefined || passwordFile === undefined) return;
  yield { path, message: 'has both passwordEnv and passwordFile', hint: 'Give one of the two.' };
}

function* oneUrlIssues(
  path: readonly string[],
  { url, urlEnv }: { readonly url?: string | undefined; readonly urlEnv?: string | undefined },
): Iterable<ConfigIssue> {
  if ((url === undefined) !== (urlEnv === undefined)) return;
  yield {
    path,
    message: url === undefined ? 'needs url or urlEnv' : 'has both url and urlEnv',
    hint: 'Give the address as url, or the name of an environment variable that holds it as urlEnv.',
  };
}

/** The keys the schema knows at a place of the file. */
function keysAt(path: readonly (string | number)[]): string[] {
  const [top, second, third, fourth] = path;
  if (top === undefined) return Object.keys(configFileSchema.shape);
  if (top === 'source') return Object.keys(sourceSchema.shape);
  if (top === 'tls') return Object.keys(tlsSchema.shape);
  if (top === 'mirrors' && third === 'users' && fourth !== undefined) return Object.keys(mirrorUserSchema.shape);
  if (top === 'mirrors') {
    const part = third === 'filters' ? filtersSchema : third === 'shed' ? shedSchema : mirrorSchema;
    return Object.keys(part.shape);
  }
  if (top === 'kafka' && second === 'tls') return Object.keys(kafkaSchema.shape.tls.unwrap().shape);
  if (top === 'kafka' && second === 'sasl') return Object.keys(kafkaSchema.shape.sasl.unwrap().shape);
  return Object.keys(kafkaSchema.shape);
}

/** Levenshtein distance, for words of a command line. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
