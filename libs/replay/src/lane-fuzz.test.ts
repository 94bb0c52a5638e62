// Whatever is in an envelope and whatever a mirror says, a lane does not throw: what came over Kafka or the network is never trusted.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DependencyReason, type Envelope } from '@mirrorstream/envelope';
import type { BackendMessage } from '@mirrorstream/pg-wire';
import fc from 'fast-check';
import {
  backend,
  bind,
  context,
  copyData,
  copyDone,
  copyIn,
  envelope,
  execute,
  failure,
  flush,
  frontend,
  LaneStage,
  parse,
  query,
  ready,
  row,
  sync,
  tag,
} from './lane.fixture.ts';
import { createPacing } from './pacing.ts';

const seed = 20_261_121;

const requests = [
  frontend(query('SELECT 1')),
  frontend(query('COPY t FROM STDIN'), copyData('1\n'), copyDone),
  frontend(parse('s', 'SELECT'), flush, bind('s'), execute, sync),
  frontend(bind('s'), execute, query('SELECT'), sync),
  frontend({
    kind: 'functionCall',
    functionOid: 957,
    argumentFormats: [1],
    arguments: [Buffer.alloc(4)],
    resultFormat: 1,
  }),
  frontend(sync),
];
const messages: readonly BackendMessage[] = [
  ready(),
  ready('T'),
  ready('E'),
  tag('SELECT 1'),
  tag('COMMIT'),
  row('a'),
  failure('57014'),
  copyIn,
  { kind: 'parseComplete' },
  { kind: 'bindComplete' },
  { kind: 'functionCallResponse', value: Buffer.alloc(4) },
  {
    kind: 'rowDescription',
    fields: [{ name: 'a', tableOid: 0, columnNumber: 0, typeOid: 25, typeSize: -1, typeModifier: -1, format: 0 }],
  },
];

const reasons = [
  DependencyReason.TEMP_TABLE,
  DependencyReason.HELD_CURSOR,
  DependencyReason.AFTER_GAP,
  DependencyReason.UNKNOWN_MESSAGE,
  DependencyReason.SEQUENCE_VALUE,
];

/** Some bytes of it are others. */
const damaged = (bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc.tuple(bytes, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 })).map(([whole, changes]) => {
    const copy = new Uint8Array(whole);
    for (const [at, value] of changes) if (copy.length > 0) copy[at % copy.length] = value;
    return copy;
  });

const answer = damaged(fc.array(fc.constantFrom(...messages), { maxLength: 8 }).map((said) => backend(...said)));

const sketch = fc.record({
  request: damaged(fc.constantFrom(...requests)),
  answer,
  continues: fc.constantFrom(false, false, false, true),
  segments: fc.array(fc.record({ end: fc.nat(60), sentUs: fc.nat(1000) }), { maxLength: 2 }),
  doneUs: fc.constantFrom(0, 50, 5000),
  cancelledAfterUs: fc.constantFrom(0, 0, 10),
});

const envelopes = fc
  .record({
    seq: fc.integer({ min: 1, max: 6 }),
    part: fc.constantFrom(0, 0, 0, 1),
    lastPart: fc.boolean(),
    dependsOn: fc.subarray(reasons),
    parseFrame: damaged(fc.constant(frontend(parse('s', 'SELECT')))),
    exchanges: fc.array(sketch, { maxLength: 3 }),
  })
  .map(({ parseFrame, exchanges, ...of }) =>
    envelope({ ...of, context: { ...context(), statements: [{ name: 's', parseFrame }] } }, ...exchanges),
  );

type Happening =
  | { readonly kind: 'take'; readonly envelope: Envelope }
  | { readonly kind: 'bytes'; readonly chunk: Uint8Array }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'connected' | 'lost' | 'drained' | 'blocked' | 'evict' | 'cancelDone' | 'gap' };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 4, arbitrary: envelopes.map((it): Happening => ({ kind: 'take', envelope: it })) },
  { weight: 6, arbitrary: answer.map((chunk): Happening => ({ kind: 'bytes', chunk })) },
  { weight: 2, arbitrary: fc.constantFrom(1, 1000, 6000).map((ms): Happening => ({ kind: 'pass', ms })) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...(['connected', 'lost', 'drained', 'blocked', 'evict', 'cancelDone', 'gap'] as const).map(
        (kind): Happening => ({ kind }),
      ),
    ),
  },
);

describe('a lane', () => {
  it(`does not throw, and accounts for each part it took in (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 30 }), (happenings) => {
        const stage = new LaneStage({ pacing: createPacing({ mode: 'asap', speed: 1, replayDelayMs: 0 }) });
        let taken = 0;
        for (const it of happenings) {
          const wanted = stage.effects.findLast(({ kind }) => kind === 'connect' || kind === 'close');
          if (it.kind === 'take') {
            taken += 1;
            stage.take(it.envelope);
          } else if (it.kind === 'pass') stage.pass(it.ms);
          else if (it.kind === 'bytes') stage.step(it);
          else if (it.kind !== 'connected' || wanted?.kind === 'connect') stage.step({ kind: it.kind });
        }
        stage.lane.step({ kind: 'timer' }, stage.nowUs); // Its effects come with those of the surrender.
        stage.surrender({ kind: 'timer' });
        const settled = stage.effects.filter(
          (effect) => effect.kind === 'result' || (effect.kind === 'duplicate' && effect.releasedBytes > 0),
        ).length;
        assert.equal(settled, taken);
      }),
      { seed, numRuns: 2000 },
    );
  });
});
