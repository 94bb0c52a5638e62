// What the command line of `mirrorstream capture` asks for.
import { answerPolicies, type CaptureSettings, maxAnswerCapBytes } from '@mirrorstream/domain';
import { badFlag, type CommandSpec, type GivenFlags, parseCommandLine } from '../command-line.ts';
import { shareOf, waitMsOf } from '../control/change.ts';
import { scopeFlags } from '../stack-scope.ts';

export const captureCommand: CommandSpec = {
  name: 'capture',
  words: '[status|on|off|set|clear]',
  summary:
    'Says what the proxies of a source capture, and changes it while they run: no connection is touched, no proxy is restarted.\n' +
    '  status  what every proxy does now (the default)\n' +
    '  off     copy nothing any more: the rollback at every stage; open transactions end as a gap, connections go on\n' +
    '  on      capture (again): sessions that are open join when their transaction has ended\n' +
    '  set     change sampling or answers only\n' +
    '  clear   forget all that was said here: the flags of each proxy hold again\n' +
    'It is written to the topic mirrorstream.control, which every proxy of the source follows, now and when it starts; the command ' +
    'then waits until every proxy that runs says that it does so.',
  flags: [
    {
      name: 'sampling',
      placeholder: 'SHARE',
      description:
        'with on or set: share of the sessions that is captured, 0 to 1. A larger share keeps the sessions of a smaller one. ' +
        'A mirror’s exposure is a share of all sessions: with sampling 0.1, exposure 0.05 plays half of what is captured',
    },
    {
      name: 'answers',
      placeholder: 'none|digest|full',
      description: 'with on or set: what is kept of production’s answers, from each session’s next request on',
    },
    {
      name: 'answer-cap',
      placeholder: 'BYTES',
      description: 'with on or set: answers that are larger keep digests only',
    },
    {
      name: 'wait',
      placeholder: 'SECONDS',
      defaultText: '20',
      description: 'how long to wait for the proxies to say so; 0: not at all',
    },
    { name: 'json', description: 'print one JSON object (mirrorstream.capture/1)' },
    ...scopeFlags.filter(({ name }) => name !== 'environment'),
  ],
  examples: [
    { command: 'mirrorstream capture', does: 'what the stack that runs here captures' },
    { command: 'mirrorstream capture off --brokers kafka1:9092 --source-name shop', does: 'stop capturing, at once' },
    {
      command: 'mirrorstream capture on --sampling 0.01 --answers digest --brokers kafka1:9092 --source-name shop',
      does: 'begin with one session in a hundred',
    },
    {
      command: 'mirrorstream capture set --sampling 1 --answers full --brokers kafka1:9092 --source-name shop',
      does: 'then all of them, with what production answered',
    },
  ],
};

/** `change` null: only look. `clear`: the flags hold again. */
export interface CaptureRequest {
  readonly flags: GivenFlags;
  readonly change: Partial<CaptureSettings> | 'clear' | null;
  readonly waitMs: number;
}

const actions = ['status', 'on', 'off', 'set', 'clear'] as const;
type Action = (typeof actions)[number];

/** Throws `badInput` naming what is wrong. */
export function readCaptureRequest(argv: readonly string[]): CaptureRequest {
  const action = actions.find((name) => name === argv[0]);
  const flags = parseCommandLine(captureCommand, action === undefined ? argv : argv.slice(1));
  return { flags, change: changeOf(action ?? 'status', flags), waitMs: waitMsOf(captureCommand, flags) };
}

function changeOf(action: Action, flags: GivenFlags): CaptureRequest['change'] {
  const settings = settingsOf(flags);
  const named = Object.keys(settings).length > 0;
  switch (action) {
    case 'on':
      return { ...settings, capture: 'on' };
    case 'set':
      if (named) return settings;
      throw badFlag(captureCommand, 'set', 'changes nothing', 'Name --sampling, --answers or --answer-cap.');
    case 'off':
    case 'clear':
    case 'status':
      if (named) {
        throw badFlag(
          captureCommand,
          '--sampling, --answers, --answer-cap:',
          `not with ${action}`,
          'They go with on and set.',
        );
      }
      if (action === 'off') return { capture: 'off' };
      return action === 'clear' ? 'clear' : null;
    default:
      return action satisfies never;
  }
}

function settingsOf(flags: GivenFlags): Partial<CaptureSettings> {
  const sampling = flags.last('sampling');
  const answers = flags.last('answers');
  const answerCap = flags.last('answer-cap');
  return {
    ...(sampling === undefined
      ? {}
      : { sampling: shareOf(captureCommand, '--sampling', sampling, 'Write 0.1 for one session in ten.') }),
    ...(answers === undefined ? {} : { answers: answersOf(answers) }),
    ...(answerCap === undefined ? {} : { answerCapBytes: answerCapOf(answerCap) }),
  };
}

function answersOf(text: string): CaptureSettings['answers'] {
  const policy = answerPolicies.find((name) => name === text);
  if (policy !== undefined) return policy;
  throw badFlag(captureCommand, '--answers', `is none of ${answerPolicies.join(', ')}`, 'Choose one of them.');
}

function answerCapOf(text: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) <= maxAnswerCapBytes) return Number(text);
  throw badFlag(
    captureCommand,
    '--answer-cap',
    `is not from 0 to ${maxAnswerCapBytes} bytes`,
    'Write for instance 65536.',
  );
}
