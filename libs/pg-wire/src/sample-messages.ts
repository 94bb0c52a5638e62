// One or more samples of every message of both directions, for the tests: the types make a missing kind a compile error.
import type { BackendMessage } from './backend.ts';
import type { FrontendMessage } from './frontend.ts';

type SamplesOf<Message extends { kind: string }> = {
  readonly [Kind in Message['kind']]: readonly Extract<Message, { kind: Kind }>[];
};

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i);
const none = bytes();

const frontend: SamplesOf<FrontendMessage> = {
  startupMessage: [
    { kind: 'startupMessage', protocolVersion: 196_608, parameters: [] },
    {
      kind: 'startupMessage',
      protocolVersion: 196_610,
      parameters: [
        { name: 'user', value: 'ada' },
        { name: 'options', value: '' },
        { name: '_pq_.some_option', value: 'on' },
        { name: 'user', value: 'sent twice' },
      ],
    },
  ],
  sslRequest: [{ kind: 'sslRequest' }],
  gssencRequest: [{ kind: 'gssencRequest' }],
  cancelRequest: [
    { kind: 'cancelRequest', processId: 4711, secretKey: bytes(1, 2, 3, 4) },
    { kind: 'cancelRequest', processId: -1, secretKey: everyByte },
  ],
  passwordMessage: [{ kind: 'passwordMessage', password: 'not a secret' }],
  saslInitialResponse: [
    { kind: 'saslInitialResponse', mechanism: 'SCRAM-SHA-256', data: bytes(110, 44, 44) },
    { kind: 'saslInitialResponse', mechanism: 'SCRAM-SHA-256-PLUS', data: null },
    { kind: 'saslInitialResponse', mechanism: 'OAUTHBEARER', data: none },
  ],
  saslResponse: [{ kind: 'saslResponse', data: bytes(99, 61) }],
  gssResponse: [{ kind: 'gssResponse', data: bytes(0, 255) }],
  authenticationResponse: [{ kind: 'authenticationResponse', data: bytes(0, 1, 2) }],
  query: [
    { kind: 'query', query: '' },
    { kind: 'query', query: "SELECT 'größer', '日本', '🐘', '\uFFFD'" },
    { kind: 'query', query: "SELECT 'latin gr\udcfc\udcdf'" },
  ],
  parse: [
    { kind: 'parse', statement: '', query: 'SELECT 1', parameterTypes: [] },
    { kind: 'parse', statement: 's1', query: 'SELECT $1, $2', parameterTypes: [0, 4_294_967_295] },
  ],
  bind: [
    { kind: 'bind', portal: '', statement: '', parameterFormats: [], parameters: [], resultFormats: [] },
    {
      kind: 'bind',
      portal: 'p1',
      statement: 's1',
      parameterFormats: [0, 1, 1],
      parameters: [null, none, everyByte],
      resultFormats: [1],
    },
    {
      kind: 'bind',
      portal: '',
      statement: 'as many as there can be',
      parameterFormats: [1],
      parameters: Array.from({ length: 65_535 }, () => null),
      resultFormats: [],
    },
  ],
  describe: [
    { kind: 'describe', target: 'S', name: 's1' },
    { kind: 'describe', target: 'P', name: '' },
  ],
  execute: [
    { kind: 'execute', portal: '', maxRows: 0 },
    { kind: 'execute', portal: 'p1', maxRows: 2_147_483_647 },
  ],
  close: [
    { kind: 'close', target: 'S', name: 's1' },
    { kind: 'close', target: 'P', name: '' },
  ],
  flush: [{ kind: 'flush' }],
  sync: [{ kind: 'sync' }],
  functionCall: [
    { kind: 'functionCall', functionOid: 4_000_000_000, argumentFormats: [1], arguments: [], resultFormat: 1 },
    { kind: 'functionCall', functionOid: 177, argumentFormats: [], arguments: [null, bytes(51)], resultFormat: 0 },
  ],
  copyData: [
    { kind: 'copyData', data: none },
    { kind: 'copyData', data: everyByte },
  ],
  copyDone: [{ kind: 'copyDone' }],
  copyFail: [{ kind: 'copyFail', reason: 'changed my mind' }],
  terminate: [{ kind: 'terminate' }],
};

const fields = {
  S: 'FEHLER',
  V: 'ERROR',
  C: '42601',
  M: 'Syntaxfehler bei »SELEC«',
  D: '',
  P: '1',
  F: 'scan.l',
  L: '1',
  R: 'yyerror',
};

const backend: SamplesOf<BackendMessage> = {
  authenticationOk: [{ kind: 'authenticationOk' }],
  authenticationKerberosV5: [{ kind: 'authenticationKerberosV5' }],
  authenticationCleartextPassword: [{ kind: 'authenticationCleartextPassword' }],
  authenticationMD5Password: [{ kind: 'authenticationMD5Password', salt: bytes(0, 1, 254, 255) }],
  authenticationGSS: [{ kind: 'authenticationGSS' }],
  authenticationGSSContinue: [{ kind: 'authenticationGSSContinue', data: bytes(96, 0) }],
  authenticationSSPI: [{ kind: 'authenticationSSPI' }],
  authenticationSASL: [
    { kind: 'authenticationSASL', mechanisms: [] },
    { kind: 'authenticationSASL', mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] },
  ],
  authenticationSASLContinue: [{ kind: 'authenticationSASLContinue', data: bytes(114, 61) }],
  authenticationSASLFinal: [{ kind: 'authenticationSASLFinal', data: none }],
  backendKeyData: [
    { kind: 'backendKeyData', processId: 4711, secretKey: bytes(255, 254, 0, 1) },
    { kind: 'backendKeyData', processId: 1, secretKey: everyByte },
  ],
  parameterStatus: [{ kind: 'parameterStatus', name: 'TimeZone', value: '' }],
  negotiateProtocolVersion: [
    { kind: 'negotiateProtocolVersion', newestMinorVersion: 196_608, unrecognizedOptions: [] },
    { kind: 'negotiateProtocolVersion', newestMinorVersion: 0, unrecognizedOptions: ['_pq_.a', '_pq_.b'] },
  ],
  emptyQueryResponse: [{ kind: 'emptyQueryResponse' }],
  commandComplete: [
    { kind: 'commandComplete', tag: 'INSERT 0 5' },
    { kind: 'commandComplete', tag: 'BEGIN' },
  ],
  readyForQuery: [
    { kind: 'readyForQuery', status: 'I' },
    { kind: 'readyForQuery', status: 'T' },
    { kind: 'readyForQuery', status: 'E' },
  ],
  parseComplete: [{ kind: 'parseComplete' }],
  bindComplete: [{ kind: 'bindComplete' }],
  closeComplete: [{ kind: 'closeComplete' }],
  parameterDescription: [{ kind: 'parameterDescription', parameterTypes: [23, 4_294_967_295] }],
  noData: [{ kind: 'noData' }],
  portalSuspended: [{ kind: 'portalSuspended' }],
  rowDescription: [
    { kind: 'rowDescription', fields: [] },
    {
      kind: 'rowDescription',
      fields: [
        { name: 'id', tableOid: 16_384, columnNumber: 1, typeOid: 23, typeSize: 4, typeModifier: -1, format: 0 },
        { name: '', tableOid: 0, columnNumber: -6, typeOid: 25, typeSize: -1, typeModifier: 14, format: 1 },
      ],
    },
  ],
  dataRow: [
    { kind: 'dataRow', values: [] },
    { kind: 'dataRow', values: [null, none, everyByte] },
  ],
  copyInResponse: [{ kind: 'copyInResponse', format: 0, columnFormats: [0, 0] }],
  copyOutResponse: [{ kind: 'copyOutResponse', format: 1, columnFormats: [1] }],
  copyBothResponse: [{ kind: 'copyBothResponse', format: 0, columnFormats: [] }],
  copyData: [{ kind: 'copyData', data: everyByte }],
  copyDone: [{ kind: 'copyDone' }],
  errorResponse: [
    { kind: 'errorResponse', fields },
    { kind: 'errorResponse', fields: {} },
  ],
  noticeResponse: [{ kind: 'noticeResponse', fields: { S: 'NOTICE', C: '00000', M: 'hello' } }],
  notificationResponse: [{ kind: 'notificationResponse', processId: 4711, channel: 'news', payload: '' }],
  functionCallResponse: [
    { kind: 'functionCallResponse', value: null },
    { kind: 'functionCallResponse', value: none },
    { kind: 'functionCallResponse', value: bytes(0, 0, 0, 5) },
  ],
};

export const frontendSamples: readonly FrontendMessage[] = Object.values(frontend).flat();
export const backendSamples: readonly BackendMessage[] = Object.values(backend).flat();
