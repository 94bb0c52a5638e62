// What happens to connections, as told to whoever counts and logs it. Never per chunk.
import type { Address } from './listener.ts';
import type { Refusal } from './refusals.ts';

export type ProxyEvent =
  /** One address did not answer, or not as TLS demands; others may be tried. */
  | { readonly kind: 'connectFailed'; readonly address: Address; readonly code: string }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** A connection that nobody here can read passes uncaptured. */
  | { readonly kind: 'opaque'; readonly why: 'encrypted' | 'unknownProtocol' }
  | {
      readonly kind: 'handshake';
      readonly leg: 'client' | 'source';
      readonly outcome: 'done' | 'failed';
      /** OpenSSL's name of the failure, or Node's. */
      readonly code: string;
    }
  /** The source offers SCRAM-SHA-256-PLUS to clients that were shown another certificate than its own. */
  | { readonly kind: 'channelBindingUnusable' }
  /** A bug in here: that one session was ended. */
  | { readonly kind: 'sessionFailed'; readonly error: unknown };
