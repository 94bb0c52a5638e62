// Writes a captured transaction as one line that a person can check against what the driver was asked to do.
//
//   committed +1 (listen): P*DS[] B*ES[SELECT 1] d{27}cS[COPY 3]
//
// The outcome; how many named statements the envelope carries for statements prepared in earlier transactions; why it depends on
// its session, if it does; then the exchanges: what the client sent, and in brackets how each statement ended. What the client sent
// is the type byte of each message; * where it is about a named statement; CopyData is d with the bytes of data, however many
// messages carried them. (X)×20 is X twenty times.
//
// CopyDone and CopyFail are written only after data that the server took: to a COPY it has refused they may come before its answer or
// after it, as one more message of the next exchange, and postgres.js sends CopyFail after every CopyDone. The server skips them.
// A Flush that comes first is not written: libpq's pipelines send one after Sync or not, depending on what has already been answered.
import {
  DependencyReason,
  type Envelope,
  type Exchange,
  type Observation,
  StatementEnd,
  TransactionOutcome,
} from '@mirrorstream/envelope';

const copyData = 'd';

/** `parts`: of one transaction, in order. */
export function transactionLine(parts: readonly Envelope[]): string {
  const first = parts[0] as Envelope;
  const last = parts.at(-1) as Envelope;
  const carried = first.context?.statements.length ?? 0;
  const reasons = first.dependsOnSession.map((reason) => nameOf(DependencyReason, reason));
  const exchanges = wholeExchanges(parts).map(exchangeText);
  const head = [
    nameOf(TransactionOutcome, last.outcome),
    ...(carried > 0 ? [`+${carried}`] : []),
    ...(reasons.length > 0 ? [`(${reasons.join(', ')})`] : []),
  ];
  return `${head.join(' ')}: ${folded(exchanges, ' ').join(' ')}`;
}

/** `COMMAND_COMPLETE` as `command complete`. */
function nameOf(names: Readonly<Record<string, number>>, value: number): string {
  const name = Object.entries(names).find(([, number]) => number === value)?.[0] ?? String(value);
  return name.toLowerCase().replaceAll('_', ' ');
}

export interface WholeExchange {
  readonly request: Buffer;
  readonly observations: readonly Observation[];
  readonly isCancelled: boolean;
  readonly isAnswered: boolean;
}

/** Pieces of one exchange, put together. */
export function wholeExchanges(parts: readonly Envelope[]): WholeExchange[] {
  const pieces = new Map<number, Exchange[]>();
  for (const exchange of parts.flatMap(({ exchanges }) => exchanges)) {
    pieces.set(exchange.index, [...(pieces.get(exchange.index) ?? []), exchange]);
  }
  return [...pieces.values()].map((exchanges) => ({
    request: Buffer.concat(exchanges.map(({ request }) => request)),
    observations: exchanges.at(-1)?.answer?.observations ?? [],
    isCancelled: exchanges.some(({ cancelledAfterUs }) => cancelledAfterUs > 0n),
    isAnswered: (exchanges.at(-1)?.doneUs ?? 0n) > 0n,
  }));
}

function exchangeText({ request, observations, isCancelled }: WholeExchange): string {
  const ends = observations.map(observationText);
  const isRefused = observations.at(-1)?.end === StatementEnd.ERROR;
  return `${folded(messages(request, isRefused), '').join('')}[${folded(ends, ', ').join(', ')}${isCancelled ? ', cancelled' : ''}]`;
}

function observationText({ end, commandTag, sqlState }: Observation): string {
  if (end === StatementEnd.COMPLETE) return commandTag;
  if (end === StatementEnd.ERROR) return `error ${sqlState}`;
  return nameOf(StatementEnd, end);
}

/** Messages = {type:byte length:int32 body}; runs of CopyData become one. */
function messages(request: Buffer, isRefused: boolean): string[] {
  const texts: string[] = [];
  let copied = 0;
  const isSkipped = (type: string): boolean => {
    if (type === 'H') return texts.length === 0;
    return (type === 'c' || type === 'f') && (isRefused || copied === 0);
  };
  for (let at = 0; at < request.length; ) {
    const end = at + 1 + request.readInt32BE(at + 1);
    const type = String.fromCharCode(request[at] ?? 0);
    const body = request.subarray(at + 5, end);
    const skipped = isSkipped(type);
    if (copied > 0 && type !== copyData) texts.push(`d{${copied}}`);
    copied = type === copyData ? copied + body.length : 0;
    if (type !== copyData && !skipped) texts.push(isOfNamedStatement(type, body) ? `${type}*` : type);
    at = end;
  }
  return copied > 0 ? [...texts, `d{${copied}}`] : texts;
}

/** Parse = name …; Bind = portal\0 name …; Describe and Close = 'S'|'P' name. */
function isOfNamedStatement(type: string, body: Buffer): boolean {
  if (type === 'P') return body[0] !== 0;
  if (type === 'B') return body[body.indexOf(0) + 1] !== 0;
  if (type === 'D' || type === 'C') return body[0] === 0x53 && body[1] !== 0;
  return false;
}

/** Three or more equal runs of up to eight become `(run)×count`. */
export function folded(texts: readonly string[], separator: string): string[] {
  const written: string[] = [];
  for (let at = 0; at < texts.length; ) {
    const { length, count } = longestRepetition(texts, at);
    const unit = texts.slice(at, at + length).join(separator);
    written.push(count >= 3 ? `(${unit})×${count}` : (texts[at] as string));
    at += count >= 3 ? length * count : 1;
  }
  return written;
}

function longestRepetition(texts: readonly string[], at: number): { length: number; count: number } {
  let best = { length: 1, count: 1 };
  for (let length = 1; length <= 8; length++) {
    let count = 1;
    while (isSameRun(texts, at, at + length * count, length)) count++;
    if (count >= 3 && length * count > best.length * best.count) best = { length, count };
  }
  return best;
}

function isSameRun(texts: readonly string[], a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (texts[b + i] === undefined || texts[a + i] !== texts[b + i]) return false;
  return true;
}
