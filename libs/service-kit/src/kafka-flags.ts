// The flags every service that speaks to Kafka shares, and what they mean.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { KafkaConnectionOptions } from '@mirrorstream/kafka';
import { z } from 'zod';
import type { FlagTable, FlagValues } from './flags.ts';

const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;

export const kafkaFlags: FlagTable = [
  { name: 'brokers', description: 'Kafka brokers to start from', placeholder: 'HOST:PORT', multiple: true },
  { name: 'kafka-tls', description: 'encrypt the connections to Kafka', boolean: true },
  {
    name: 'kafka-tls-ca',
    description: 'CA certificate (PEM) that signed the brokers; implies TLS',
    placeholder: 'FILE',
  },
  { name: 'kafka-tls-cert', description: 'client certificate (PEM); implies TLS', placeholder: 'FILE' },
  { name: 'kafka-tls-key', description: 'key of the client certificate (PEM)', placeholder: 'FILE' },
  {
    name: 'kafka-tls-server-name',
    description: 'name in the brokers’ certificate, if not their host',
    placeholder: 'NAME',
  },
  { name: 'kafka-sasl-mechanism', description: `one of ${mechanisms.join(', ')}`, placeholder: 'NAME' },
  { name: 'kafka-sasl-username', description: 'SASL user name', placeholder: 'NAME' },
  { name: 'kafka-sasl-password-env', description: 'environment variable that holds the password', placeholder: 'NAME' },
  { name: 'kafka-sasl-password-file', description: 'file that holds the password', placeholder: 'FILE' },
];

const schema = z.object({
  brokers: z.array(z.string()).min(1).optional(),
  'kafka-tls': z.boolean().default(false),
  'kafka-tls-ca': z.string().optional(),
  'kafka-tls-cert': z.string().optional(),
  'kafka-tls-key': z.string().optional(),
  'kafka-tls-server-name': z.string().optional(),
  'kafka-sasl-mechanism': z.enum(mechanisms).optional(),
  'kafka-sasl-username': z.string().optional(),
  'kafka-sasl-password-env': z.string().optional(),
  'kafka-sasl-password-file': z.string().optional(),
});
type KafkaFlagValues = z.infer<typeof schema>;

/** Throws `badInput` (or a ZodError, which runService turns into one) naming the flag. */
export function kafkaOptionsFrom(values: FlagValues, clientId: string): KafkaConnectionOptions {
  const given = schema.parse(values);
  if (given.brokers === undefined)
    throw bad('--brokers is missing', 'Give at least one broker as HOST:PORT, or set MIRRORSTREAM_BROKERS.');
  const tls = tlsOptions(given);
  const sasl = saslOptions(given);
  return {
    brokers: given.brokers,
    clientId,
    ...(tls === undefined ? {} : { tls }),
    ...(sasl === undefined ? {} : { sasl }),
  };
}

function bad(message: string, hint: string): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage: 'flags', hint });
}

function tlsOptions(given: KafkaFlagValues): KafkaConnectionOptions['tls'] {
  const caFile = given['kafka-tls-ca'];
  const certFile = given['kafka-tls-cert'];
  const keyFile = given['kafka-tls-key'];
  const serverName = given['kafka-tls-server-name'];
  if (!given['kafka-tls'] && caFile === undefined && certFile === undefined) return undefined;
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw bad('--kafka-tls-cert and --kafka-tls-key belong together', 'Give both, or neither.');
  }
  return {
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile }),
    ...(keyFile === undefined ? {} : { keyFile }),
    ...(serverName === undefined ? {} : { serverName }),
  };
}

function saslOptions(given: KafkaFlagValues): KafkaConnectionOptions['sasl'] {
  const mechanism = given['kafka-sasl-mechanism'];
  const username = given['kafka-sasl-username'];
  const passwordEnv = given['kafka-sasl-password-env'];
  const passwordFile = given['kafka-sasl-password-file'];
  if (mechanism === undefined) {
    if (username === undefined) return undefined;
    throw bad('--kafka-sasl-mechanism is missing', `Choose one of ${mechanisms.join(', ')}.`);
  }
  if (username === undefined) throw bad('--kafka-sasl-username is missing', 'SASL needs a user name.');
  if ((passwordEnv === undefined) === (passwordFile === undefined)) {
    throw bad(
      'SASL needs exactly one of --kafka-sasl-password-env and --kafka-sasl-password-file',
      'The password itself is never a flag: others could read it in the list of processes.',
    );
  }
  return {
    mechanism,
    username,
    ...(passwordEnv === undefined ? {} : { passwordEnv }),
    ...(passwordFile === undefined ? {} : { passwordFile }),
  };
}
