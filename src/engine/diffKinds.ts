/** What became of a row of the snapshot or of the state, as scratch tables number it. */

export const NULL_KEY = 0;
export const NEW = 1;
export const CHANGED = 2;
export const GONE = 3;

/** Condition, in egret_diff, of the keys that left the source. */
export const IS_GONE = `kind = ${GONE}`;
