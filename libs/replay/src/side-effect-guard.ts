// Keeps from a mirror what would reach outside of its database a second time. Pure; on the way of every transaction, so it looks at words first.
import { type SideEffect, sideEffects } from '@mirrorstream/domain';
import type { Envelope, SessionContext } from '@mirrorstream/envelope';
import { type SqlShapes, TEXT_CAP_BYTES, textsOf } from './transaction-facts.ts';

/** Whether this part of a transaction does something that is not allowed. */
export type SideEffectGuard = (envelope: Envelope, shapes: SqlShapes) => boolean;

/** Larger requests, COPY data above all, are walked through frame by frame instead of being looked at whole. */
const LOOK_BYTES = 16 * 1024;

/** Null: everything is allowed. */
export function compileGuard(allowed: readonly SideEffect[]): SideEffectGuard | null {
  const held = new Set<SideEffect>(sideEffects.filter((effect) => !allowed.includes(effect)));
  if (held.size === 0) return null;
  const hinting = new WeakMap<SessionContext, boolean>();
  return (envelope, shapes) => {
    if (!hints(envelope, shapes, hinting)) return false;
    const prepared = envelope.context?.sqlStatements.map(({ sql }) => sql) ?? [];
    for (const text of [...textsOf(envelope, TEXT_CAP_BYTES), ...prepared])
      for (const effect of shapes.sideEffects(text)) if (held.has(effect)) return true;
    return false;
  };
}

function hints({ exchanges, context }: Envelope, shapes: SqlShapes, known: WeakMap<SessionContext, boolean>): boolean {
  for (const { request } of exchanges)
    if (request.length > LOOK_BYTES || shapes.mayHaveSideEffects(latin1(request))) return true;
  if (context === undefined || (context.statements.length === 0 && context.sqlStatements.length === 0)) return false;
  let hint = known.get(context);
  if (hint === undefined) {
    hint =
      context.statements.some(({ parseFrame }) => shapes.mayHaveSideEffects(latin1(parseFrame))) ||
      context.sqlStatements.some(({ sql }) => shapes.mayHaveSideEffects(sql));
    known.set(context, hint);
  }
  return hint;
}

const latin1 = ({ buffer, byteOffset, length }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, length).toString('latin1');
