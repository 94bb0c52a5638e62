import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MirrorstreamError } from '@mirrorstream/domain';
import { createLogger } from './logger.ts';

function logged(write: (logger: ReturnType<typeof createLogger>) => void): Record<string, unknown> {
  const lines: string[] = [];
  write(createLogger('tester', 'info', (line) => lines.push(line)));
  assert.equal(lines.length, 1);
  return JSON.parse(lines[0] as string) as Record<string, unknown>;
}

describe('the log', () => {
  it('blacks out everything named like a secret, however deep', () => {
    const line = logged((logger) =>
      logger.info(
        { password: 'a', sasl: { username: 'u', Password: 'b', list: [{ apiToken: 'c' }] }, clientSecret: 'd' },
        'm',
      ),
    );
    assert.equal(line['password'], '[redacted]');
    assert.deepEqual(line['sasl'], { username: 'u', Password: '[redacted]', list: [{ apiToken: '[redacted]' }] });
    assert.equal(line['clientSecret'], '[redacted]');
    assert.equal(line['level'], 'info');
    assert.equal(line['name'], 'tester');
  });

  it('tells an expected error by code, message and hint, without a stack', () => {
    const error = new MirrorstreamError('kafkaUnavailable', 'away', {
      stage: 'kafka',
      hint: 'wait',
      cause: new Error('refused'),
    });
    assert.deepEqual(logged((logger) => logger.warn({ err: error }, 'm'))['err'], {
      code: 'kafkaUnavailable',
      stage: 'kafka',
      message: 'away',
      retryable: false,
      hint: 'wait',
      cause: 'refused',
    });
  });

  it('tells a bug with its stack', () => {
    const { err } = logged((logger) => logger.error({ err: new TypeError('oops') }, 'm')) as { err: { stack: string } };
    assert.match(err.stack, /TypeError: oops\n {4}at /);
  });
});
