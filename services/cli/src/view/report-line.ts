// One line of progress for a log or a pipe, where the live view cannot be drawn.
import { divergenceClasses } from '@mirrorstream/domain';
import { formatDuration } from '../duration.ts';
import type { ViewModel } from './model.ts';

export function reportLine(model: ViewModel): string {
  const { source, mirrors } = model.status;
  const parts = Object.entries(mirrors).map(([name, { transactions, statements, behindSourceMs }]) => {
    const differs = divergenceClasses.reduce((sum, className) => sum + statements[className], 0);
    const resolved = transactions.captured - transactions.inFlight;
    return `${name} ${resolved} resolved, ${differs} differ, ${formatDuration(behindSourceMs)} behind`;
  });
  const ranFor = formatDuration(Math.max(0, model.nowMs - model.startedAtMs));
  const dropped = source.dropped.transactions > 0 ? `, ${source.dropped.transactions} dropped` : '';
  return [`${ranFor}: ${source.transactions} captured${dropped}`, ...parts].join(' | ');
}
