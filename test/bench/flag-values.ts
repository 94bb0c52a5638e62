// What flags of all benchmarks take: lists of known names, whole numbers.

/** Errors name the flag. */
export function listOf<T extends string>(flag: string, text: string, known: readonly T[]): T[] {
  return text.split(',').map((name) => {
    const found = known.find((one) => one === name.trim());
    if (found === undefined) throw new Error(`--${flag}: ${name} is none of ${known.join(', ')}`);
    return found;
  });
}

export function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text.trim()) || value < min || value > max) {
    throw new Error(`--${flag}: ${text} is no whole number from ${min} to ${max}`);
  }
  return value;
}
