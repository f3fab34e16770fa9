// The course of a noisy loss.

/** Shares of a training that a mean looks back over, and steps at least. */
const SHARE = 1 / 15;
const LEAST = 4;

/** Steps that the course of a training of so many looks back over. */
export const spanOf = (steps: number): number => Math.max(LEAST, Math.round(steps * SHARE));

/**
 * For each value the exponential mean of those up to it, `(Σ d^i v) / (Σ d^i)` over the values `i` places before it with
 * `d = 1 - 1 / span`: about `span` values count, and the first is itself. What is no number is left out, and a gap.
 */
export function smoothed(values: readonly (number | null)[], span: number): (number | null)[] {
  const keep = 1 - 1 / Math.max(span, 1);
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = sum * keep + value;
    weight = weight * keep + 1;
    return sum / weight;
  });
}
