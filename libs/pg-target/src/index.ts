// Connections to a mirror's server: address, TLS, start-up, authentication, then raw bytes.

export {
  type ConnectTargetOptions,
  connectTarget,
  sessionParameters,
  type TargetConnection,
  type TargetHandlers,
} from './connection.ts';
export {
  type CredentialOptions,
  Credentials,
  type Login,
  type UserMapping,
} from './credentials.ts';
export { type QueryLimits, queryRows } from './query-rows.ts';
export { defaultKeepAlive, type KeepAlive } from './socket.ts';
export { type Endpoint, SourceGuard, type SourceGuardOptions, type TargetIdentity } from './source-guard.ts';
export type { StartupParameter } from './start-up.ts';
export { systemIdentifier, systemIdentifierOn } from './system-identifier.ts';
export {
  parseTargetUrl,
  parseTargetUrls,
  readTargetAddresses,
  type SslMode,
  type TargetAddress,
  type TargetSource,
} from './target-address.ts';
