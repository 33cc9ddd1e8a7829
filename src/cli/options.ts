/** Values of options, checked as they are read. */
import { InvalidArgumentError } from "commander";

/** A parser for a whole number within bounds; commander names the option in its message. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,15}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
  };
}
