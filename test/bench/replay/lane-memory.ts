// Bytes of memory per lane, from a process that holds some hundreds of them.
import { join } from 'node:path';
import { spawnReady } from '../proxy/starting.ts';
import type { LaneMemory } from './result.ts';
import type { Stage } from './stage.ts';
import { withStub } from './throughput.ts';

const lanes = 400;

export async function measureLaneMemory({ root }: Stage): Promise<LaneMemory> {
  const script = join(root, 'services/replayer/bench/lane-memory.ts');
  return await withStub(0, async (port) => {
    const args = ['--expose-gc', script, String(port), String(lanes)];
    const { ready, process: child } = await spawnReady('lane memory', process.execPath, args);
    await child.stop();
    const number = (name: string): number => Number(ready[name]);
    const [heapBytes, externalBytes, rssBytes] = [number('heapBytes'), number('externalBytes'), number('rssBytes')];
    return { lanes: number('lanes'), heapBytes, externalBytes, rssBytes };
  });
}
