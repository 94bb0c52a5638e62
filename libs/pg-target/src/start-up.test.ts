import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeFrontend, STARTUP_PACKET } from '@mirrorstream/pg-wire';
import { type ConnectTargetOptions, sessionParameters } from './connection.ts';
import { StartUp, startupPacket } from './start-up.ts';
import { parseTargetUrl } from './target-address.ts';

const options = { user: 'app', database: 'shop', password: 'secret', parameters: [] };

function marked(
  startupParameters: ConnectTargetOptions['startupParameters'],
  mark = true,
  more: Partial<ConnectTargetOptions> = {},
) {
  return sessionParameters(
    {
      address: parseTargetUrl('postgres://h', 'test'),
      user: 'app',
      database: 'shop',
      startupParameters,
      applicationName: 'mirrorstream',
      sessionMark: 'a b',
      connectTimeoutMs: 1,
      ...more,
    },
    mark,
  );
}

describe('start-up', () => {
  it('sends user, database and the session’s parameters', () => {
    const bytes = startupPacket({ ...options, parameters: [{ name: 'TimeZone', value: 'UTC' }] });
    const message = decodeFrontend(STARTUP_PACKET, bytes, 0, bytes.length);
    assert.deepEqual(message, {
      kind: 'startupMessage',
      protocolVersion: 196608,
      parameters: [
        { name: 'user', value: 'app' },
        { name: 'database', value: 'shop' },
        { name: 'TimeZone', value: 'UTC' },
      ],
    });
  });

  it('marks the session, keeps its options and its application name', () => {
    assert.deepEqual(marked([]), [
      { name: 'application_name', value: 'mirrorstream' },
      { name: 'options', value: '-c mirrorstream.session=a\\ b' },
    ]);
    assert.deepEqual(
      marked([
        { name: 'application_name', value: 'shop' },
        { name: 'options', value: '-c work_mem=1MB' },
        { name: '_pq_.x', value: 'y' },
        { name: 'replication', value: 'database' },
      ]),
      [
        { name: 'application_name', value: 'shop' },
        { name: 'options', value: '-c work_mem=1MB -c mirrorstream.session=a\\ b' },
      ],
    );
    assert.deepEqual(marked([{ name: 'options', value: '-c a=b' }], false).at(-1), {
      name: 'options',
      value: '-c a=b',
    });
  });

  it('puts what a session may override before its options, and what it may not where nothing of its start can undo it', () => {
    const given = [
      { name: 'application_name', value: 'shop' },
      { name: 'default_transaction_read_only', value: 'off' },
      { name: 'options', value: '-c statement_timeout=5s' },
    ];
    const more = { readOnly: true, statementTimeoutMs: 60_000, marks: { mirror: 'candidate' } };
    assert.deepEqual(marked(given, true, more), [
      { name: 'application_name', value: 'shop' },
      { name: 'default_transaction_read_only', value: 'on' },
      {
        name: 'options',
        value:
          '-c statement_timeout=60000 -c statement_timeout=5s -c mirrorstream.session=a\\ b -c mirrorstream.mirror=candidate',
      },
    ]);
    assert.ok(
      marked([], false, more).some(({ name, value }) => name === 'default_transaction_read_only' && value === 'on'),
    );
  });

  it('says which failures can pass and which cannot', () => {
    const codeOf = (sqlState: string) => {
      const step = new StartUp(options).step({ kind: 'errorResponse', fields: { C: sqlState, M: 'names a user' } });
      assert.equal(step.kind, 'failed');
      if (step.kind !== 'failed') return '';
      assert.ok(!step.error.message.includes('names a user'));
      return `${step.error.code}${step.error.retryable ? ' retryable' : ''}`;
    };
    assert.equal(codeOf('57P03'), 'targetUnreachable retryable');
    assert.equal(codeOf('53300'), 'targetFull retryable');
    assert.equal(codeOf('28P01'), 'authenticationFailed');
    assert.equal(codeOf('3D000'), 'targetRefused');
  });

  it('refuses to go on without a password, with unknown mechanisms, or with a server that skips its proof', () => {
    const bare = new StartUp({ ...options, password: undefined });
    assert.equal(bare.step({ kind: 'authenticationCleartextPassword' }).kind, 'failed');
    assert.equal(new StartUp(options).step({ kind: 'authenticationSASL', mechanisms: ['OTHER'] }).kind, 'failed');
    assert.equal(new StartUp(options).step({ kind: 'authenticationGSS' }).kind, 'failed');
    const skipping = new StartUp(options);
    assert.equal(skipping.step({ kind: 'authenticationSASL', mechanisms: ['SCRAM-SHA-256'] }).kind, 'send');
    assert.equal(skipping.step({ kind: 'authenticationOk' }).kind, 'failed');
  });
});
