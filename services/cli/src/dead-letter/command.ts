// `mirrorstream dead-letter`: what could not be decoded, where it came from, and another try after an upgrade.
import { deadLetterTopic, exitCodes, MirrorstreamError } from '@mirrorstream/domain';
import { resultAccountHeader, retryHeader } from '@mirrorstream/envelope';
import type { KafkaClient } from '@mirrorstream/kafka';
import { helpText } from '../command-line.ts';
import { withKafka } from '../stack-kafka.ts';
import { checkAnswers, inTime, type StackScope, stackScope } from '../stack-scope.ts';
import { harmless } from '../view/text.ts';
import { type Letter, originOf, readAgain, readLetter } from './letter.ts';
import { type DeadLetterRequest, deadLetterCommand, readDeadLetterRequest } from './request.ts';
import { settle } from './settle.ts';
import { fieldLines, hexLines } from './structure.ts';

/** What is listed of the topic, newest last. */
const maxLetters = 10_000;

export async function deadLetter(argv: readonly string[]): Promise<number> {
  const request = readDeadLetterRequest(argv);
  if (request.kind === 'help') {
    process.stdout.write(helpText(deadLetterCommand));
    return exitCodes.ok;
  }
  const scope = await stackScope(deadLetterCommand, request.flags);
  return await withKafka(scope, async (client) => {
    const topic = deadLetterTopic(scope.environment, request.mirror);
    await checkAnswers(client, topic, scope);
    const letters = await inTime(readLetters(client, topic), scope);
    return await answer(client, scope, request, letters);
  });
}

async function answer(
  client: KafkaClient,
  scope: StackScope,
  request: DeadLetterRequest,
  letters: readonly Letter[],
): Promise<number> {
  switch (request.kind) {
    case 'list':
      print(request.flags.has('json') ? letters.map(letterJson) : listLines(letters));
      return exitCodes.ok;
    case 'show':
      print(showLines(chosen(letters, [request.offset])[0] as Letter, request.bytes));
      return exitCodes.ok;
    case 'retry':
      return await retry(client, scope, request.offsets === null ? letters : chosen(letters, request.offsets));
    case 'settle': {
      const admin = await client.admin();
      print(await settle({ client, admin, scope, mirror: request.mirror }, letters));
      return exitCodes.ok;
    }
    default:
      return exitCodes.ok;
  }
}

async function readLetters(client: KafkaClient, topic: string): Promise<readonly Letter[]> {
  const admin = await client.admin();
  const ends = await admin.offsets(topic);
  const letters = new Map<string, Letter>();
  const ranges = ends.flatMap(({ partition, low, high }) => {
    const from = high - low > BigInt(maxLetters) ? high - BigInt(maxLetters) : low;
    return from < high ? [{ partition, from, to: high }] : [];
  });
  if (ranges.length > 0)
    await client.readRange(topic, ranges, ({ records }) => {
      for (const letter of records.map(readLetter)) {
        // The same letter once more: its first place is its name.
        if (!letters.has(originOf(letter))) letters.set(originOf(letter), letter);
      }
    });
  return [...letters.values()];
}

function chosen(letters: readonly Letter[], offsets: readonly bigint[]): readonly Letter[] {
  return offsets.map((offset) => {
    const letter = letters.find((one) => one.offset === offset);
    if (letter !== undefined) return letter;
    throw new MirrorstreamError('badInput', `there is no letter at offset ${offset}`, {
      stage: deadLetterCommand.name,
      hint: 'mirrorstream dead-letter list says which there are.',
    });
  });
}

function listLines(letters: readonly Letter[]): readonly string[] {
  if (letters.length === 0) return ['No dead letters.'];
  return letters.map((letter) => {
    const { offset, setAsideAtMs, from, transactions, reason } = letter;
    const place = `${from.topic}/${from.partition} at ${from.offset}`;
    const count = transactions === null ? 'transactions unknown' : `${transactions} transactions`;
    return `${offset}  ${new Date(setAsideAtMs).toISOString()}  ${harmless(place)}  ${count}  ${harmless(reason)}`;
  });
}

function letterJson({ offset, setAsideAtMs, from, transactions, reason, kind, value }: Letter): string {
  const sizeBytes = value.length;
  return JSON.stringify({ offset: String(offset), setAsideAtMs, from, kind, transactions, reason, sizeBytes });
}

function showLines(letter: Letter, bytes: number): readonly string[] {
  const reading = readAgain(letter);
  const told = reading.readable
    ? ['This version can read it:', ...reading.lines]
    : [`This version cannot read it: ${reading.reason}`, ...fieldLines(letter.value)];
  return [
    ...listLines([letter]),
    '',
    'Headers:',
    ...Object.entries(letter.headers).map(([name, value]) => `  ${harmless(name)}: ${harmless(value).slice(0, 200)}`),
    '',
    ...told.map(harmless),
    ...(bytes === 0 ? [] : ['', `The first bytes of ${letter.value.length}:`, ...hexLines(letter.value, bytes)]),
  ];
}

async function retry(client: KafkaClient, scope: StackScope, letters: readonly Letter[]): Promise<number> {
  let unread = 0;
  for (const letter of letters) {
    const reading = readAgain(letter);
    if (!reading.readable) unread += 1;
    const said = reading.readable
      ? await retryOne(client, scope, letter, reading)
      : `cannot be read: ${reading.reason}`;
    print([`${letter.offset}  ${harmless(said)}`]);
  }
  if (unread === 0) return exitCodes.ok;
  throw new MirrorstreamError('undecodable', `${unread} of ${letters.length} letters cannot be read by this version`, {
    stage: deadLetterCommand.name,
    hint: 'Their transactions stay failed. Were they written by a newer version? mirrorstream dead-letter show tells what they look like.',
  });
}

async function retryOne(
  client: KafkaClient,
  scope: StackScope,
  letter: Letter,
  { lines, transactions }: { readonly lines: readonly string[]; readonly transactions: number },
): Promise<string> {
  if (letter.kind === 'envelopes')
    return `can be read now and is not played: its sessions have gone on without it. ${lines.slice(1).join('; ')}`;
  if (letter.transactions === null)
    return 'can be read now, and was never counted: mirrorstream dead-letter settle does that';
  if (letter.headers['counted'] !== String(transactions))
    return 'can be read now and stays as it is: not all of its transactions were counted as failed because of it';
  const { topic, partition, offset } = letter.from;
  const producer = await client.producer();
  try {
    const headers = {
      [resultAccountHeader]: letter.headers[resultAccountHeader] ?? '',
      [retryHeader]: offset,
    };
    await inTime(producer.send([{ topic, partition, key: null, value: letter.value, headers }]), scope);
  } finally {
    await producer.close();
  }
  return `handed to the comparer again: its ${transactions} transactions count for what they are, unless they do already`;
}

function print(lines: readonly string[]): void {
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
}
