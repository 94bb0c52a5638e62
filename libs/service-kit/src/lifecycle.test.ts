import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MirrorstreamError } from '@mirrorstream/domain';
import { z } from 'zod';
import { runService, type ServiceDefinition, type ServiceKit } from './lifecycle.ts';
import type { Surroundings } from './surroundings.ts';

interface Stage {
  readonly surroundings: Surroundings;
  readonly printed: string[];
  readonly complaints: string[];
  readonly logged: string[];
  readonly exits: number[];
  signal(name: NodeJS.Signals): void;
  bug(error: unknown): void;
  listening(): boolean;
}

function stage(environment: Record<string, string> = {}): Stage {
  const printed: string[] = [];
  const complaints: string[] = [];
  const logged: string[] = [];
  const exits: number[] = [];
  let listeners: { onSignal: (signal: NodeJS.Signals) => void; onBug: (error: unknown) => void } | undefined;
  return {
    printed,
    complaints,
    logged,
    exits,
    signal: (name) => listeners?.onSignal(name),
    bug: (error) => listeners?.onBug(error),
    listening: () => listeners !== undefined,
    surroundings: {
      environment,
      print: (text) => printed.push(text),
      complain: (line) => complaints.push(line),
      log: (line) => logged.push(line),
      exitNow: (code) => exits.push(code),
      listen(onSignal, onBug) {
        listeners = { onSignal, onBug };
        return () => {
          listeners = undefined;
        };
      },
    },
  };
}

const schema = z.object({ rate: z.coerce.number().positive() });

function service(
  start: (kit: ServiceKit) => Promise<{ stop(deadlineMs: number): Promise<void> }>,
): ServiceDefinition<{ rate: number }> {
  return {
    name: 'tester',
    summary: 'tests',
    flags: [{ name: 'rate', description: 'how much', default: '1' }],
    parse: (values) => schema.parse(values),
    start: (_config, kit) => start(kit),
    stopDeadlineMs: () => 50,
  };
}

const idle = { stop: async () => {} };

describe('the lifecycle of a service', () => {
  it('prints one ready line, stops once at a signal, and ends with 0', async () => {
    const at = stage();
    const deadlines: number[] = [];
    const running = runService(
      service(async (kit) => {
        kit.ready({ port: 7 });
        kit.ready({ port: 8 });
        return {
          async stop(deadlineMs) {
            deadlines.push(deadlineMs);
          },
        };
      }),
      [],
      at.surroundings,
    );
    at.signal('SIGTERM');
    assert.equal(await running, 0);
    assert.deepEqual(
      at.printed.map((line) => JSON.parse(line)),
      [{ ready: true, service: 'tester', pid: process.pid, port: 7 }],
    );
    assert.deepEqual(deadlines, [50]);
    assert.equal(at.listening(), false);
    assert.deepEqual(at.complaints, []);
  });

  it('ends at once at a second signal', async () => {
    const at = stage();
    const never = Promise.withResolvers<void>();
    const running = runService(
      service(async () => ({ stop: () => never.promise })),
      [],
      at.surroundings,
    );
    at.signal('SIGTERM');
    at.signal('SIGINT');
    assert.deepEqual(at.exits, [130]);
    never.resolve();
    assert.equal(await running, 0);
  });

  it('is hastened by a second signal where the service can, and ends at once at a third', async () => {
    const at = stage();
    const held = Promise.withResolvers<void>();
    const stopping = Promise.withResolvers<void>();
    const stop = (): Promise<void> => {
      stopping.resolve();
      return held.promise;
    };
    let hastened = 0;
    const hasten = (): void => {
      hastened += 1;
    };
    const running = runService(
      service(async () => ({ stop, hasten })),
      [],
      at.surroundings,
    );
    at.signal('SIGTERM');
    await stopping.promise;
    at.signal('SIGTERM');
    assert.deepEqual([hastened, at.exits], [1, []]);
    at.signal('SIGTERM');
    assert.deepEqual([hastened, at.exits], [1, [143]]);
    held.resolve();
    assert.equal(await running, 0);
  });

  it('says which flag is wrong and what to do, without a stack, and ends with 2', async () => {
    for (const argv of [
      ['--rate', 'much'],
      ['--rat', '1'],
      ['--log-level', 'loud'],
      ['--health', 'here'],
    ]) {
      const at = stage();
      assert.equal(
        await runService(
          service(async () => idle),
          argv,
          at.surroundings,
        ),
        2,
      );
      assert.match(at.complaints[0] ?? '', new RegExp(`^tester: .*${argv[0]}.*\\(badInput\\)$`));
      assert.equal(at.complaints.length, 2);
      assert.deepEqual(at.printed, []);
    }
  });

  it('ends with the code of what made the start fail, and tells the hint', async () => {
    const at = stage();
    const error = new MirrorstreamError('portTaken', 'port 6543 is taken', {
      stage: 'tester',
      hint: 'Choose another.',
    });
    const code = await runService(
      service(() => Promise.reject(error)),
      [],
      at.surroundings,
    );
    assert.equal(code, 3);
    assert.deepEqual(at.complaints, ['tester: port 6543 is taken (portTaken)', '  Choose another.']);
  });

  it('stops what is running when the service reports a fatal error or a bug is not caught', async () => {
    for (const how of ['fatal', 'bug'] as const) {
      const at = stage();
      let stops = 0;
      const running = runService(
        service(async (kit) => {
          const error = new Error('broken');
          queueMicrotask(() => (how === 'fatal' ? kit.fatal(error) : at.bug(error)));
          return {
            async stop() {
              stops++;
            },
          };
        }),
        [],
        at.surroundings,
      );
      assert.equal(await running, 3);
      assert.equal(stops, 1);
      assert.match(at.complaints[0] ?? '', /^tester: Error: broken\n {4}at /);
      assert.equal(JSON.parse(at.logged[0] ?? '{}').level, 'fatal');
    }
  });

  it('does not wait for ever for a stop that hangs', async () => {
    const at = stage();
    const running = runService(
      service(async () => ({ stop: () => new Promise(() => {}) })),
      [],
      at.surroundings,
    );
    at.signal('SIGTERM');
    assert.equal(await running, 3);
    assert.match(at.complaints[0] ?? '', /stopping took longer than 50 ms \(notReady\)/);
  });

  it('serves health, readiness and numbers when asked to', async () => {
    const at = stage();
    const held = Promise.withResolvers<ServiceKit>();
    const running = runService(
      service(async (kit) => {
        kit.metrics.register({
          name: 'tests_total',
          help: 'tests',
          kind: 'counter',
          read: () => [{ labels: { of: 'a"b' }, value: 3 }],
        });
        held.resolve(kit);
        return idle;
      }),
      ['--health', '0'],
      at.surroundings,
    );
    const kit = await held.promise;
    const line = at.logged.map((each) => JSON.parse(each)).find(({ msg }) => msg === 'the health endpoint listens');
    const get = async (path: string) => {
      const answer = await fetch(`http://127.0.0.1:${line.port}${path}`);
      return [answer.status, await answer.text()] as const;
    };
    assert.deepEqual(await get('/live'), [200, '{"status":"ok"}']);
    assert.equal((await get('/ready'))[0], 503);
    kit.ready();
    assert.equal((await get('/ready'))[0], 200);
    assert.deepEqual([(await get('/healthz'))[0], (await get('/readyz'))[0]], [200, 200]);
    assert.match(
      (await get('/metrics'))[1],
      /^# HELP tests_total tests\n# TYPE tests_total counter\ntests_total\{of="a\\"b"\} 3$/m,
    );
    at.signal('SIGINT');
    assert.equal(await running, 0);
  });

  it('prints help and ends with 0', async () => {
    const at = stage();
    assert.equal(
      await runService(
        service(async () => idle),
        ['--help'],
        at.surroundings,
      ),
      0,
    );
    assert.match(at.printed.join(''), /--rate VALUE[\s\S]*--log-level LEVEL[\s\S]*--health \[HOST:\]PORT/);
  });
});
