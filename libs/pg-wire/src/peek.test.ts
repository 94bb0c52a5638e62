// Peeks agree with the decoders on every sample they apply to, and say so when a field is missing.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BackendMessage, encodeBackend } from './backend.ts';
import { holdsWholeFrames } from './frame-header.ts';
import { encodeFrontend, type FrontendMessage } from './frontend.ts';
import * as peek from './peek.ts';
import { backendSamples, frontendSamples } from './sample-messages.ts';
import { WireWriter } from './wire-writer.ts';

/** The frame with bytes before and behind it that would show in an answer. */
type Framed = readonly [Uint8Array, number, number];

function framed(fill: (writer: WireWriter) => void): Framed {
  const writer = new WireWriter();
  writer.bytes(Buffer.from('before'));
  fill(writer);
  const end = writer.sizeBytes;
  writer.bytes(Buffer.from('behind'));
  return [writer.take(), 6, end];
}

const frontend = (message: FrontendMessage) => framed((writer) => encodeFrontend(message, writer));
const backend = (message: BackendMessage) => framed((writer) => encodeBackend(message, writer));
const raw = (hex: string): Framed => framed((writer) => writer.bytes(Buffer.from(hex.replaceAll(' ', ''), 'hex')));

function expectFrontend(message: FrontendMessage): void {
  const at = frontend(message);
  if (message.kind === 'query') assert.equal(peek.queryText(...at), message.query);
  if (message.kind === 'parse') {
    assert.equal(peek.parseStatementName(...at), message.statement);
    assert.equal(peek.parseQueryText(...at), message.query);
    assert.equal(peek.parseMessageBody(...at).length, at[2] - peek.parseQueryStart(...at));
  }
  if (message.kind === 'bind') {
    assert.deepEqual(peek.bindNames(...at), { portal: message.portal, statement: message.statement });
  }
  if (message.kind === 'execute') {
    assert.deepEqual([peek.executePortal(...at), peek.executeMaxRows(...at)], [message.portal, message.maxRows]);
  }
  if (message.kind === 'close' || message.kind === 'describe') {
    const target = message.target === 'S' ? peek.TargetByte.Statement : peek.TargetByte.Portal;
    assert.deepEqual([peek.closeTarget(...at), peek.closeName(...at)], [target, message.name]);
    assert.deepEqual([peek.describeTarget(...at), peek.describeName(...at)], [target, message.name]);
  }
}

function expectBackend(message: BackendMessage): void {
  const at = backend(message);
  if (message.kind === 'readyForQuery') {
    assert.equal(String.fromCharCode(peek.readyForQueryStatus(...at)), message.status);
    assert.equal(String.fromCharCode(peek.readyForQueryStatus(at[0], at[1])), message.status);
  }
  if (message.kind === 'commandComplete') assert.equal(peek.commandTag(...at), message.tag);
  if (message.kind === 'errorResponse' || message.kind === 'noticeResponse') {
    assert.equal(peek.sqlState(...at), message.fields['C'] ?? '');
    assert.equal(peek.errorSeverity(...at), message.fields['V'] ?? '');
    for (const code of 'SVCMDHPRLZ') assert.equal(peek.errorField(code, ...at), message.fields[code] ?? '');
  }
  if (message.kind === 'parameterStatus') {
    assert.deepEqual(
      [peek.parameterStatusName(...at), peek.parameterStatusValue(...at)],
      [message.name, message.value],
    );
  }
  if (message.kind === 'dataRow') assert.equal(peek.columnCount(...at), message.values.length);
  if (message.kind === 'rowDescription') assert.equal(peek.columnCount(...at), message.fields.length);
}

describe('peeks', () => {
  it('agree with what was encoded, for every frontend sample', () => frontendSamples.forEach(expectFrontend));
  it('agree with what was encoded, for every backend sample', () => backendSamples.forEach(expectBackend));

  it('read the number a tag ends in', () => {
    const tags: readonly (readonly [string, number])[] = [
      ['INSERT 0 5', 5],
      ['SELECT 0', 0],
      ['COPY 9007199254740991', 9_007_199_254_740_991],
      ['BEGIN', -1],
      ['CREATE TABLE', -1],
      ['SELECT 12a', -1],
      ['SELECT ', -1],
      ['12', -1],
      ['', -1],
    ];
    for (const [tag, rows] of tags) {
      assert.equal(peek.commandTagRows(...backend({ kind: 'commandComplete', tag })), rows, `tag ${tag}`);
    }
  });

  it('find strings longer than the short loop, and stop at the end of the frame', () => {
    const query = 'x'.repeat(5_000);
    assert.equal(peek.queryText(...frontend({ kind: 'query', query })), query);
    assert.equal(peek.stringEnd(Buffer.from(`${'x'.repeat(99)}\0`), 0, 99), -1);
    assert.equal(peek.stringEnd(Buffer.from(`${'x'.repeat(99)}\0`), 0, 100), 99);
    assert.equal(peek.stringEnd(Buffer.from('x'.repeat(99)), 0, 99), -1);
  });

  it('answer empty, 0 or -1 when the field is missing', () => {
    assert.equal(peek.commandTag(...raw('43 00000007 616263')), '');
    assert.equal(peek.commandTagRows(...raw('43 00000007 203132')), -1);
    assert.equal(peek.bindStatement(...raw('42 00000006 7000')), '');
    assert.equal(peek.executeMaxRows(...raw('45 00000006 7000')), -1);
    assert.equal(peek.closeTarget(...raw('43 00000004')), 0);
    assert.equal(peek.readyForQueryStatus(...raw('5a 00000004')), 0);
    assert.equal(peek.columnCount(...raw('44 00000005 00')), -1);
    assert.equal(peek.sqlState(...raw('45 00000008 4d616263')), '');
    assert.equal(peek.readyForQueryStatus(Buffer.from('5a00000005', 'hex'), 0), 0);
  });

  it('equal bodies of Parse mean the same statement under another name', () => {
    const body = (statement: string, parameterTypes: number[]) =>
      Buffer.from(peek.parseMessageBody(...frontend({ kind: 'parse', statement, query: 'SELECT $1', parameterTypes })));
    assert.deepEqual(body('a', [23]), body('another', [23]));
    assert.notDeepEqual(body('a', [23]), body('a', [25]));
  });
});

describe('quiet points', () => {
  const idle = Buffer.from('310000000432000000045a0000000549', 'hex');
  it('a chunk that ends in ReadyForQuery I is one half of a quiet point', () => {
    assert.ok(peek.endsWithIdleReadyForQuery(idle, 0, idle.length));
    assert.ok(!peek.endsWithIdleReadyForQuery(idle, 0, idle.length - 1));
    assert.ok(!peek.endsWithIdleReadyForQuery(idle, idle.length - 5, idle.length));
    for (const hex of ['5a0000000554', '5a0000000545', '5a0000000649', '5b0000000549']) {
      assert.ok(!peek.endsWithIdleReadyForQuery(Buffer.from(hex, 'hex'), 0, 6), hex);
    }
  });
  it('a chunk of whole frames of known types is the other half', () => {
    const whole = Buffer.from('4800000004 5300000004'.replace(' ', ''), 'hex');
    assert.ok(holdsWholeFrames('frontend', whole, 0, whole.length));
    assert.ok(!holdsWholeFrames('frontend', whole, 0, whole.length - 1));
    assert.ok(!holdsWholeFrames('frontend', whole, 1, whole.length));
    assert.ok(!holdsWholeFrames('frontend', whole, 0, 0));
    assert.ok(!holdsWholeFrames('frontend', Buffer.from('7a00000004', 'hex'), 0, 5));
    assert.ok(!holdsWholeFrames('frontend', Buffer.from('5300000003', 'hex'), 0, 5));
  });
});
