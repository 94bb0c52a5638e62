// Decoding a kept answer for people: the right statement of the exchange, caps, and answers cut at any byte.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  commandComplete,
  copyData,
  dataRow,
  errorResponse,
  frame,
  readyForQuery,
  rowDescription,
  seeded,
} from './backend-frames.fixture.ts';
import { decodeAnswer } from './decode-answer.ts';

const exchange = Buffer.concat([
  commandComplete('BEGIN'),
  rowDescription([
    { name: 'id', typeOid: 23 },
    { name: 'name', typeOid: 25 },
  ]),
  dataRow(['1', 'Ann']),
  dataRow(['2', null]),
  commandComplete('SELECT 2'),
  frame('H', Buffer.from([0, 0, 1, 0, 0])),
  copyData('7\tseven\n'),
  frame('c'),
  commandComplete('COPY 1'),
  errorResponse({ S: 'ERROR', V: 'ERROR', C: '42P01', M: 'relation "x" does not exist' }),
  readyForQuery('E'),
]);

describe('decodeAnswer', () => {
  it('gives columns and rows of the statement asked for', () => {
    const decoded = decodeAnswer({ bytes: exchange, statement: 1, truncated: false });
    assert.deepEqual(decoded, {
      columns: [
        { name: 'id', typeOid: 23, typeName: 'integer' },
        { name: 'name', typeOid: 25, typeName: 'text' },
      ],
      rows: [
        ['1', 'Ann'],
        ['2', null],
      ],
      rowsKept: 2,
      end: 'complete',
      commandTag: 'SELECT 2',
      error: null,
    });
  });

  it('gives lines of COPY and errors', () => {
    assert.deepEqual(decodeAnswer({ bytes: exchange, statement: 2, truncated: false }).rows, [['7\tseven']]);
    assert.deepEqual(decodeAnswer({ bytes: exchange, statement: 3, truncated: false }).error, {
      severity: 'ERROR',
      sqlState: '42P01',
      message: 'relation "x" does not exist',
    });
  });

  it('says that a statement which was not kept is cut', () => {
    const decoded = decodeAnswer({ bytes: exchange, statement: 9, truncated: true });
    assert.deepEqual([decoded.end, decoded.rowsKept, decoded.columns], ['cut', 0, null]);
  });

  it('caps rows, columns and cells', () => {
    const bytes = Buffer.concat([
      dataRow(['x'.repeat(50), 'y', 'z']),
      dataRow(['1', '2', '3']),
      commandComplete('SELECT 2'),
    ]);
    const decoded = decodeAnswer(
      { bytes, statement: 0, truncated: false },
      { maxRows: 1, maxColumns: 2, maxCellChars: 10 },
    );
    assert.deepEqual(decoded.rows, [['xxxxxxxxx…', 'y']]);
    assert.equal(decoded.rowsKept, 2);
  });

  it('reads a prefix of an answer cut at any byte', () => {
    const whole = decodeAnswer({ bytes: exchange, statement: 1, truncated: false });
    for (let end = 0; end <= exchange.length; end++) {
      const decoded = decodeAnswer({ bytes: exchange.subarray(0, end), statement: 1, truncated: true });
      assert.deepEqual(decoded.rows, whole.rows.slice(0, decoded.rowsKept));
      if (decoded.end === 'cut') assert.equal(decoded.commandTag, '');
    }
  });

  it('survives any bytes', () => {
    const random = seeded(31);
    for (let round = 0; round < 5000; round++) {
      const bytes = Buffer.from(exchange);
      for (let n = 0; n < 4; n++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      decodeAnswer({ bytes, statement: Math.floor(random() * 4), truncated: false });
    }
  });
});
