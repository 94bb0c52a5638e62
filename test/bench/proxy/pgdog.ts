// PgDog, the pooler that can mirror: session pooling, alone and mirroring to a second server.
//
// PGDOG_BIN names its binary. It knows its commit, not its release nor how it was built: PGDOG_ABOUT says so in the result.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, probePostgres, spawnTied, waitUntil } from '@mirrorstream/local';
import { type Contender, maxConnections, type Surroundings, started, versionOf } from './starting.ts';

/** Everything that is not named is as it comes: threads, the parser, the mirror's queue and exposure. */
export async function pgdog(
  { sourcePort, directory }: Surroundings,
  name: string,
  mirrorPort: number | null,
): Promise<Contender | string> {
  const command = process.env['PGDOG_BIN'];
  if (command === undefined || command === '') return 'PGDOG_BIN does not name its binary';
  const version = await versionOf(command, /(?:PgDog|pgdog)\s+(.+)/);
  if (version === null) return `${command} cannot be run`;
  const port = await freePort();
  const own = join(directory, name.replaceAll(' ', '-'));
  await mkdir(own);
  const config = join(own, 'pgdog.toml');
  const users = join(own, 'users.toml');
  await writeFile(config, configText(port, sourcePort, mirrorPort));
  await writeFile(users, mirrorPort === null ? userText('postgres') : userText('postgres') + userText('mirror'));
  const child = await spawnTied({ name, command, args: ['--config', config, '--users', users] });
  let ended = false;
  void child.exited.then(() => {
    ended = true;
  });
  const serves = async (): Promise<boolean> =>
    ended ||
    (await probePostgres({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', timeoutMs: 2000 })) ===
      'ready';
  await waitUntil(serves, { what: `${name} to answer a query`, deadlineMs: 30_000, stage: 'bench' });
  if (ended) return `it ended: ${child.lastLogLines().slice(-3).join(' / ')}`;
  const about = process.env['PGDOG_ABOUT'];
  return started(name, port, child, about === undefined ? version : `${version} (${about})`);
}

function configText(port: number, sourcePort: number, mirrorPort: number | null): string {
  const database = (name: string, at: number): string => `[[databases]]
name = "${name}"
host = "127.0.0.1"
port = ${at}
database_name = "postgres"
`;
  const mirroring = `[[mirroring]]
source_db = "postgres"
destination_db = "mirror"
`;
  return `[general]
host = "127.0.0.1"
port = ${port}
pooler_mode = "session"
default_pool_size = ${maxConnections}
auth_type = "trust"
${database('postgres', sourcePort)}${mirrorPort === null ? '' : database('mirror', mirrorPort) + mirroring}`;
}

const userText = (database: string): string => `[[users]]
name = "postgres"
database = "${database}"
password = "trusted"
`;
