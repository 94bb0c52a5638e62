// Which replayer has which sessions: those that need not move stay where they are, and who has nothing to do stands by.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type ReplayerSnapshot, snapshotSchema, statusTopic } from '@mirrorstream/domain';
import { execute, sharedKafka, waitFor, withClient } from '@mirrorstream/testkit';
import { ReplayAccount } from './replay-account.ts';
import { checkJournal, createJournal, JournalWriter, readJournal } from './replay-journal.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

const sessions = 8;

describe('the replayers of one mirror', { timeout: 240_000 }, () => {
  it('keep the sessions of the partitions they keep, on their connections, when another comes and goes', async (t) => {
    const stage = await openStage(t, { partitions: 4 });
    const { scene, mirror, writer, account } = stage;
    await scene.startReplayer(mirror, '--pacing', 'asap', '--instance', 'first');
    await writer.write(3);
    await account.settled(writer.transactions);
    const alone = await backends(mirror);
    assert.equal(alone.size, sessions);

    const second = await scene.startReplayer(mirror, '--pacing', 'asap', '--instance', 'second');
    const [mine, others] = await stage.shared('first', 'second');
    assert.deepEqual([mine.length, others.length], [2, 2]);
    await writer.write(3);
    await account.settled(writer.transactions);
    const together = await backends(mirror);
    assert.deepEqual(kept(alone, together), await stage.sessionsIn(mine), 'what need not move has not moved');

    await second.stop();
    await stage.owns('first', [0, 1, 2, 3]);
    await writer.write(3);
    await account.settled(writer.transactions);
    assert.deepEqual(kept(together, await backends(mirror)), await stage.sessionsIn(mine), 'nor when the other left');
    assert.deepEqual(account.tally(), { replayed: writer.transactions });
    const [source, played] = [await readJournal(scene.sourceUrl), await readJournal(mirror.url)];
    assert.equal(checkJournal(source, played, { missing: 0, window: 0, returns: 0 }), 0, 'nothing ran twice');
  });

  it('stand by when there are more of them than partitions, and take over from one that was killed', async (t) => {
    const stage = await openStage(t, { partitions: 2 });
    const { scene, mirror, writer, account } = stage;
    const names = ['first', 'second', 'third'];
    const replayers = new Map<string, Awaited<ReturnType<ReplayerScene['startReplayer']>>>();
    const flags = ['--pacing', 'asap', '--duplicate-window', '1', '--group-session-timeout-ms', '6000'];
    for (const name of names) replayers.set(name, await scene.startReplayer(mirror, ...flags, '--instance', name));
    const owners = await waitFor(
      async () => {
        const owned = await stage.owned();
        const sizes = names.map((name) => owned.get(name)?.length ?? 0);
        return [...sizes].sort().join() === '0,1,1' ? owned : null;
      },
      { what: 'one partition each for two, none for the third', everyMs: 100 },
    );
    const [spare] = names.filter((name) => (owners.get(name)?.length ?? 0) === 0) as [string];
    const [victim] = names.filter((name) => name !== spare) as [string];
    const lost = owners.get(victim) as readonly number[];
    await writer.write(3);
    await account.settled(writer.transactions);
    await replayers.get(victim)?.kill9();
    await writer.write(3);
    await stage.owns(spare, lost);
    await account.settled(writer.transactions);
    assert.deepEqual(account.tally(), { replayed: writer.transactions });
    const [source, played] = [await readJournal(scene.sourceUrl), await readJournal(mirror.url)];
    checkJournal(source, played, { missing: 0, window: 1, returns: 1 });
  });
});

async function openStage(t: TestContext, { partitions }: { readonly partitions: number }) {
  const scene = await ReplayerScene.open((await sharedKafka()).bootstrap, undefined, partitions);
  t.after(() => scene.close());
  const mirror = await scene.newMirror();
  await createJournal(scene.sourceUrl, mirror.url);
  const marks =
    "ADD pid int DEFAULT pg_backend_pid(), ADD mark text DEFAULT current_setting('mirrorstream.session', true)";
  await execute(mirror.url, `ALTER TABLE journal ${marks}`);
  const writer = await JournalWriter.open(scene.proxyUrl, { sessions, seed: 3 });
  t.after(() => writer.close());

  /** Partitions by instance, as the newest snapshots say; the group's members agree when each partition has one owner. */
  const owned = async (): Promise<ReadonlyMap<string, readonly number[]>> => {
    const newest = await replayerSnapshots(scene, mirror);
    const running = [...newest.values()].filter(({ final }) => !final);
    return new Map(running.map(({ instance, partitions }) => [instance, Object.keys(partitions).map(Number).sort()]));
  };
  return {
    scene,
    mirror,
    writer,
    account: new ReplayAccount(scene, mirror),
    owned,
    owns: async (instance: string, expected: readonly number[]): Promise<void> => {
      const has = async (): Promise<boolean> => String((await owned()).get(instance)) === String(expected);
      await waitFor(has, { what: `${instance} to own ${expected}`, deadlineMs: 60_000, everyMs: 100 });
    },
    shared: (one: string, other: string): Promise<[readonly number[], readonly number[]]> =>
      waitFor(
        async () => {
          const now = await owned();
          const [mine, theirs] = [now.get(one) ?? [], now.get(other) ?? []];
          const together = new Set([...mine, ...theirs]).size;
          const disjoint = mine.length > 0 && theirs.length > 0 && mine.length + theirs.length === together;
          return disjoint && together === partitions
            ? ([mine, theirs] as [readonly number[], readonly number[]])
            : null;
        },
        { what: 'the partitions to be shared', everyMs: 100 },
      ),
    /** The journal's sessions by the partition they were captured in. */
    sessionsIn: async (numbers: readonly number[]): Promise<ReadonlySet<string>> => {
      const found = new Set<string>();
      for (const { partition, records } of await scene.batches())
        for (const { record } of records)
          if (record.case === 'envelope' && numbers.includes(partition)) found.add(record.value.sessionId);
      return found;
    },
  };
}

/** On which of the mirror's server processes each captured session was last. */
async function backends(mirror: Mirror): Promise<ReadonlyMap<string, number>> {
  const sql = 'SELECT DISTINCT ON (mark) mark, pid FROM journal ORDER BY mark, id DESC';
  const { rows } = await withClient(mirror.url, (client) => client.query<{ mark: string; pid: number }>(sql));
  return new Map(rows.map(({ mark, pid }) => [mark, pid]));
}

/** Sessions that are on the same connection as before. */
function kept(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): ReadonlySet<string> {
  return new Set([...now].filter(([session, pid]) => before.get(session) === pid).map(([session]) => session));
}

async function replayerSnapshots(scene: ReplayerScene, mirror: Mirror): Promise<ReadonlyMap<string, ReplayerSnapshot>> {
  const newest = new Map<string, ReplayerSnapshot>();
  const [{ low, high } = { low: 0n, high: 0n }] = await scene.admin.offsets(statusTopic);
  await scene.client.readRange(statusTopic, [{ partition: 0, from: low, to: high }], ({ records }) => {
    for (const { value } of records) {
      const parsed = value === null ? null : snapshotSchema.safeParse(JSON.parse(String(value)));
      if (parsed?.success && parsed.data.kind === 'replayer' && parsed.data.mirror === mirror.name)
        newest.set(parsed.data.instance, parsed.data);
    }
  });
  return newest;
}
