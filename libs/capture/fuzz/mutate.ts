// What goes wrong with a conversation: bits, lengths, types, frames lost, doubled, swapped or invented, a direction missing, bytes unseen.
import type { Dice } from './dice.ts';
import { type FuzzEvent, isBytes } from './fuzz-case.ts';
import { typeBytes } from './grammar.ts';

type Mutation = (events: FuzzEvent[], at: number, dice: Dice) => void;

const lengths = [
  0, 3, 4, 5, 6, 8, 9, 255, 4_096, 10_000, 10_001, 65_535, 65_536, 0x3fff_ffff, 0x4000_0004, 0x7fff_ffff, -1, -5,
];

function onBytes(change: (bytes: Buffer, dice: Dice) => Uint8Array): Mutation {
  return (events, at, dice) => {
    const event = events[at];
    if (event === undefined || !isBytes(event) || event[1].length === 0) return;
    events[at] = [event[0], change(Buffer.from(event[1]), dice)];
  };
}

const flipBits = onBytes((bytes, dice) => {
  for (let i = dice.below(3); i >= 0; i--) {
    const at = dice.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << dice.below(8));
  }
  return bytes;
});

const changeLength = onBytes((bytes, dice) => {
  if (bytes.length < 5) return bytes;
  const near = bytes.readInt32BE(1) + dice.below(9) - 4;
  bytes.writeInt32BE((dice.chance(0.5) ? near : dice.pick(lengths)) | 0, 1);
  return bytes;
});

const changeType = onBytes((bytes, dice) => {
  bytes[0] = dice.chance(0.8) ? dice.pick(typeBytes) : dice.below(256);
  return bytes;
});

const truncate = onBytes((bytes, dice) => bytes.subarray(0, dice.below(bytes.length)));

const invade = onBytes((bytes, dice) => {
  const at = dice.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, at), dice.bytes(1 + dice.below(20)), bytes.subarray(at)]);
});

/** Counts and lengths inside messages are 16 and 32 bits wide. */
const changeNumber = onBytes((bytes, dice) => {
  const at = dice.below(bytes.length);
  const value = dice.pick([0, 1, 0x7f, 0x80, 0xff]);
  bytes.fill(value, at, Math.min(bytes.length, at + dice.pick([1, 2, 4])));
  return bytes;
});

const drop: Mutation = (events, at) => {
  events.splice(at, 1);
};

const double: Mutation = (events, at) => {
  const event = events[at];
  if (event !== undefined) events.splice(at, 0, event);
};

const swap: Mutation = (events, at, dice) => {
  const other = dice.chance(0.5) ? at + 1 : dice.below(events.length);
  const [a, b] = [events[at], events[other]];
  if (a === undefined || b === undefined) return;
  events[at] = b;
  events[other] = a;
};

const turnAround: Mutation = (events, at) => {
  const event = events[at];
  if (event !== undefined && isBytes(event)) events[at] = [event[0] === 'F' ? 'B' : 'F', event[1]];
};

const noise: Mutation = (events, at, dice) => {
  events.splice(at, 0, [dice.pick(['F', 'B'] as const), dice.bytes(1 + dice.below(40))]);
};

/** A frame of a type nobody knows, well formed. */
const unknownFrame: Mutation = (events, at, dice) => {
  const body = dice.bytes(dice.below(12));
  const frame = Buffer.concat([Uint8Array.of(0x7e, 0, 0, 0, body.length + 4), body]);
  events.splice(at, 0, [dice.pick(['F', 'B'] as const), frame]);
};

/** Bytes go by unseen: the ring was full. */
const lose: Mutation = (events, at, dice) => {
  const gone = events.splice(at, 1 + dice.below(6));
  const size = (direction: 'F' | 'B'): number =>
    gone.reduce((sum, event) => sum + (event[0] === direction ? event[1].length : 0), 0);
  events.splice(at, 0, ['missed', 'client', size('F')], ['missed', 'server', size('B')]);
};

const loseNothing: Mutation = (events, at, dice) => {
  events.splice(at, 0, ['missed', dice.pick(['client', 'server'] as const), 0]);
};

const mute: Mutation = (events, at, dice) => {
  const direction = dice.pick(['F', 'B'] as const);
  const rest = events.splice(at).filter((event) => event[0] !== direction);
  events.push(...rest);
};

const end: Mutation = (events, at) => {
  events.splice(at);
};

const cancel: Mutation = (events, at) => {
  events.splice(at, 0, ['cancelled']);
};

const wait: Mutation = (events, at, dice) => {
  events.splice(at, 0, ['tick', dice.pick([1, 1_000, 400_000, 1_100_000])]);
};

/** A stretch again and again: what is never answered must not pile up. */
const repeat: Mutation = (events, at, dice) => {
  const stretch = events.slice(at, at + 1 + dice.below(4));
  const size = stretch.reduce((sum, event) => sum + (isBytes(event) ? event[1].length : 0), 0);
  const times = Math.min(dice.below(200), Math.floor(60_000 / (size + 1)));
  for (let i = 0; i < times; i++) events.splice(at, 0, ...stretch);
};

const mutations: readonly Mutation[] = [
  flipBits,
  changeLength,
  changeType,
  truncate,
  invade,
  changeNumber,
  drop,
  double,
  swap,
  turnAround,
  noise,
  unknownFrame,
  lose,
  loseNothing,
  mute,
  end,
  cancel,
  wait,
  repeat,
];

/** Changes `events` in place. */
export function mutate(events: FuzzEvent[], dice: Dice): void {
  for (let i = dice.below(4); i >= 0; i--) {
    if (events.length === 0) return;
    // The first events are the start-up: broken there, nothing after it is looked at.
    const from = dice.chance(0.85) ? Math.min(5, events.length - 1) : 0;
    dice.pick(mutations)(events, from + dice.below(events.length - from), dice);
  }
}
