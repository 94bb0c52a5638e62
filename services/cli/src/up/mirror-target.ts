// What the file says about a mirror's server and its ids, as flags of its replayer. Passwords are named by their variable or file.
import type { MirrorConfig } from '@mirrorstream/domain';

export function mirrorTargetFlags(config: MirrorConfig): string[] {
  const { users = {}, passwordEnv, passwordFile, readOnly, lanes, maxConnections, statementTimeoutMs } = config;
  const { mapIds, mapIdsReferences = [] } = config;
  const given = (flag: string, value: string | number | undefined): string[] =>
    value === undefined ? [] : [flag, String(value)];
  return [
    ...given('--target-password-env', passwordEnv),
    ...given('--target-password-file', passwordFile),
    ...(readOnly === true ? ['--read-only'] : []),
    ...given('--lanes', lanes),
    ...given('--max-connections', maxConnections),
    ...given('--statement-timeout-ms', statementTimeoutMs),
    ...given('--map-ids', mapIds),
    ...mapIdsReferences.flatMap((reference) => given('--map-ids-reference', reference)),
    ...Object.entries(users).flatMap(([captured, { user, ...password }]) => [
      ...given('--user-map', `${captured}=${user}`),
      ...(password.passwordEnv === undefined ? [] : given('--user-password-env', `${user}=${password.passwordEnv}`)),
      ...(password.passwordFile === undefined ? [] : given('--user-password-file', `${user}=${password.passwordFile}`)),
    ]),
  ];
}
