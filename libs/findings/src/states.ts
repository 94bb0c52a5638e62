// Where a finding stands with the people who look after it.

/** `reopened`: it was resolved and has been seen since, or somebody said so. */
export const findingStatuses = ['open', 'acknowledged', 'suppressed', 'resolved', 'reopened'] as const;
export type FindingStatus = (typeof findingStatuses)[number];
