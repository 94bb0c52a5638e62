// What a statement can do outside of the tables of its database: such a one does not run a second time on a mirror unless that is allowed.

/** Closed list, in the order in which a statement's are told. */
export const sideEffects = [
  'program', // COPY … PROGRAM
  'serverFile', // COPY to or from a file of the server, lo_import, lo_export, pg_file_write
  'remoteDatabase', // dblink
  'http', // the extensions http and pg_net, aws_s3 and aws_lambda
  'notify', // NOTIFY, pg_notify
  'subscription', // subscriptions, replication slots and origins, logical messages
  'foreignServer', // servers, wrappers, user mappings and tables of foreign data
  'scheduledJob', // pg_cron, pgagent, timescaledb's jobs
  'role', // roles, their passwords, settings and memberships
  'serverSetting', // ALTER SYSTEM, reloading the configuration
  'serverControl', // other backends ended, promotion, WAL and backup control, libraries loaded
  'cluster', // databases and tablespaces
] as const;
export type SideEffect = (typeof sideEffects)[number];
