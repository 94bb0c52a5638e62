// Sends what an incarnation that is gone left in its spool, as it was encoded, and counts it in that incarnation's books.
import { createBatcher, type OutgoingRecord, type Producer } from '@mirrorstream/kafka';
import type { Segment } from '../spool/segment.ts';
import type { SpoolRecord } from '../spool/segment-format.ts';
import type { LeftSpool } from '../spool/spool-folder.ts';
import type { InheritedBooks } from './inherited-books.ts';

const chunkBytes = 1024 * 1024;
const waitForRoomMs = 5;

export interface RedeliveryOptions {
  readonly producer: Pick<Producer, 'sendEach'>;
  readonly books: InheritedBooks;
  readonly left: LeftSpool;
  /** In memory at once; new traffic has a buffer of its own. */
  readonly bufferBytes: number;
  /** How much that is now. */
  readonly onBuffered?: (bytes: () => number) => void;
  readonly stopped: () => boolean;
  /** A segment's end was torn or damaged. */
  readonly onDamaged: (segment: Segment) => void;
}

/** True: all of it is settled. False: it was told to stop, and the next successor goes on. */
export async function redeliver(options: RedeliveryOptions): Promise<boolean> {
  const { producer, books, left, bufferBytes, stopped, onDamaged } = options;
  const batcher = createBatcher(
    producer,
    { maxBufferedBytes: bufferBytes },
    {
      onAcknowledged: (record: OutgoingRecord, offset) => books.acknowledged(record as SpoolRecord, offset),
      onLost: (record: OutgoingRecord, reason) => {
        if (reason === 'kafkaRefused') books.refused(record as SpoolRecord);
      },
    },
  );
  options.onBuffered?.(() => batcher.stats().bufferedBytes);
  try {
    for (const segment of left.segments) {
      while (segment.hasUnread) {
        const { records, rest } = await segment.read(chunkBytes);
        if (rest === 'invalid') onDamaged(segment);
        for (const record of records) {
          if (books.isSettled(record)) continue;
          while (batcher.offer(record) === 'full') {
            if (stopped()) return false;
            await new Promise((resolve) => setTimeout(resolve, waitForRoomMs));
          }
        }
      }
    }
    const flushed = batcher.flush().then(() => true);
    while (!stopped()) {
      const late = new Promise<false>((resolve) => setTimeout(resolve, 100, false));
      if (await Promise.race([flushed, late])) return true;
    }
    return false;
  } finally {
    await batcher.close(0);
    options.onBuffered?.(() => 0);
  }
}
