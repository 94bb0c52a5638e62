// The flags of `mirrorstream up`.
import type { CommandFlag, CommandSpec } from '../command-line.ts';

/** How to reach a Kafka of one's own; the services have the same flags. */
export const kafkaFlags: readonly CommandFlag[] = [
  {
    name: 'brokers',
    placeholder: 'LIST',
    description: 'use this Kafka (host:port, comma-separated) instead of the embedded one',
  },
  {
    name: 'kafka-tls-ca',
    placeholder: 'FILE',
    description: 'talk TLS to Kafka, trusting the CA certificates of this file',
  },
  { name: 'kafka-sasl-mechanism', placeholder: 'NAME', description: 'plain, scram-sha-256 or scram-sha-512' },
  { name: 'kafka-sasl-username', placeholder: 'NAME', description: 'user name for Kafka' },
  { name: 'kafka-sasl-password-env', placeholder: 'NAME', description: 'environment variable that holds the password' },
  { name: 'kafka-sasl-password-file', placeholder: 'FILE', description: 'file that holds the password' },
];

export const upCommand: CommandSpec = {
  name: 'up',
  summary:
    'Starts everything and shows what differs: Kafka, the capture proxy, and a replayer and a comparer per mirror. Without --source it ' +
    'also starts three PostgreSQL servers (the source, a mirror "candidate" on a newer version with planted differences, a mirror ' +
    '"control" like the source) and sends demo traffic. Ctrl-C stops all of it.',
  flags: [
    {
      name: 'source',
      placeholder: 'URL',
      description: 'the production database: postgres://host:port. Clients keep their own user and password',
    },
    {
      name: 'mirror',
      placeholder: 'NAME=URL',
      repeatable: true,
      description: 'play the traffic to this server. User and database of the URL win over the session’s',
    },
    {
      name: 'listen',
      placeholder: 'HOST:PORT',
      defaultText: '127.0.0.1:6543',
      description: 'where the proxy accepts clients; port 0 takes a free one',
    },
    {
      name: 'workers',
      placeholder: 'COUNT',
      defaultText: '1',
      description: 'processes that share the proxy’s port and its work, 1 to 64: for more than one core',
    },
    ...kafkaFlags,
    {
      name: 'workload',
      placeholder: 'KIND',
      defaultText: 'demo with the embedded servers, else none',
      description: 'demo or none',
    },
    { name: 'for', placeholder: 'DURATION', description: 'run that long (30s, 5m, 1h), then drain, report and stop' },
    {
      name: 'json',
      description:
        'print one status object (mirrorstream.status/1) to stdout at the end; everything else goes to stderr',
    },
    { name: 'fresh', description: 'delete the data of earlier runs first' },
    { name: 'data-dir', placeholder: 'DIR', defaultText: '.mirrorstream', description: 'where data and logs are kept' },
    { name: 'file', short: 'f', placeholder: 'FILE', description: 'configuration file (YAML); flags win over it' },
  ],
  examples: [
    { command: 'mirrorstream up', does: 'the demo' },
    { command: 'mirrorstream up --for 30s --json', does: 'the demo for a script' },
    {
      command: 'mirrorstream up --source postgres://db:5432 --mirror candidate=postgres://replayer@pg18:5432',
      does: 'your own databases',
    },
    { command: 'mirrorstream up -f mirrorstream.yaml', does: 'all of it from a file' },
  ],
};
