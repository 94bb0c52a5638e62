// A password that went through a proxy is not in the proxy's memory any more once the client is authenticated, or was refused.
import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { startPostgres, uniqueName, waitFor } from '@mirrorstream/testkit';
import pg from 'pg';
import { ProxyProcess } from './transparency/proxy-process.ts';
import { End, frames, startup } from './transparency/raw-client.ts';

const notLinux = process.platform !== 'linux' && 'the memory of another process is read through /proc';
const pieceBytes = 4 * 1024 * 1024;

/** How often each of these texts is in the memory of a process, as bytes. */
async function findIn(pid: number, texts: readonly string[]): Promise<Record<string, number>> {
  const wanted = texts.map((text) => Buffer.from(text, 'latin1'));
  const found = texts.map(() => 0);
  const maps = (await readFile(`/proc/${pid}/maps`, 'utf8')).split('\n');
  const memory = await open(`/proc/${pid}/mem`, 'r');
  try {
    for (const line of maps) {
      const [, from = '', to = ''] = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line) ?? [];
      if (from === '' || / \[v(var|syscall|dso)/.test(line)) continue;
      const [start, end] = [Number.parseInt(from, 16), Number.parseInt(to, 16)];
      for (let at = start; at < end; at += pieceBytes) {
        const size = Math.min(pieceBytes + 256, end - at);
        // A page that is gone meanwhile, or was never there, holds nothing.
        const piece = await memory.read(Buffer.alloc(size), 0, size, at).catch(() => null);
        if (piece === null) continue;
        const bytes = piece.buffer.subarray(0, piece.bytesRead);
        wanted.forEach((text, i) => {
          for (let hit = bytes.indexOf(text); hit >= 0; hit = bytes.indexOf(text, hit + 1))
            if (hit < pieceBytes) found[i] = (found[i] ?? 0) + 1;
        });
      }
    }
  } finally {
    await memory.close();
  }
  return Object.fromEntries(texts.map((text, i) => [text, found[i] ?? 0]));
}

describe('the memory of a proxy after a login', { timeout: 120_000, skip: notLinux }, () => {
  const password = uniqueName('right');
  let source: Awaited<ReturnType<typeof startPostgres>>;
  let proxy: ProxyProcess;
  before(async () => {
    // In clear text: what SCRAM sends instead would be the proof of a password, and is wiped in the same way.
    source = await startPostgres({ auth: 'password', password });
    proxy = await ProxyProcess.start('handles', 'captured', source);
  });
  after(async () => {
    await proxy?.service.kill9();
    await source?.stop();
  });

  const connect = (using: string, application_name = 'test'): pg.Client => {
    const client = new pg.Client({
      ...{ host: '127.0.0.1', port: proxy.port, user: 'postgres', database: 'postgres', password: using },
      application_name,
    });
    client.on('error', () => undefined);
    return client;
  };

  const capturedAll = async (): Promise<void> => {
    await waitFor(async () => (await proxy.metric('buffer_used_bytes{buffer="ring"}')) === 0, {
      what: 'capture to have taken all',
    });
  };

  it('holds what an open session said first, and nothing of its password, which it said last', async () => {
    const said = uniqueName('said');
    const client = connect(password, said);
    await client.connect();
    await capturedAll();
    const found = await findIn(proxy.service.pid, [password, said]);
    await client.end();
    assert.ok((found[said] ?? 0) > 0, 'ordinary traffic is there: the search sees the buffers');
    assert.equal(found[password], 0);
  });

  it('holds nothing of a password that came in pieces, nor of one that was refused, nor of one that was never sent to its end', async () => {
    const [wrong, half] = [uniqueName('wrong'), uniqueName('half')];
    await assert.rejects(connect(wrong).connect(), /password authentication failed/);
    const login = async (bytes: Buffer, untilAnswered: boolean): Promise<End> => {
      const end = await End.connect(proxy.port);
      await end.send(startup('postgres', 'postgres'));
      await end.has(9);
      for (let at = 0; at < bytes.length; at += 7) {
        const before = await proxy.metric('forwarded_bytes_total');
        await end.send(bytes.subarray(at, at + 7));
        await waitFor(async () => (await proxy.metric('forwarded_bytes_total')) > before, { what: 'a piece to pass' });
      }
      if (untilAnswered) await end.has(9 + 9);
      return end;
    };
    const whole = frames({ kind: 'passwordMessage', password });
    const inPieces = await login(whole, true);
    const gone = await login(frames({ kind: 'passwordMessage', password: half }).subarray(0, -4), false);
    gone.reset();
    await gone.closed();
    await waitFor(async () => (await proxy.metric('sessions_open')) === 1, { what: 'the half login to be over' });
    await capturedAll();
    const sent = [password, wrong, half, half.slice(0, -4)];
    const found = await findIn(proxy.service.pid, sent);
    inPieces.socket.destroy();
    assert.deepEqual(Object.values(found), [0, 0, 0, 0], JSON.stringify(found));
  });
});
