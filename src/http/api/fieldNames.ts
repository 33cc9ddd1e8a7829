/** Tells the faults of a configured object by the names that the API has for its fields. */
import { withFieldNames } from "../../configuration/objectProblems.ts";
import { InvalidInput } from "../../domain/errors.ts";

/** Runs a change; where it is refused as invalid, the refusal names the fields as the client wrote them. */
export async function namingFields<T>(
  nameOf: (field: string) => string,
  change: () => Promise<T>,
): Promise<T> {
  try {
    return await change();
  } catch (error) {
    throw error instanceof InvalidInput ? withFieldNames(error, nameOf) : error;
  }
}

/** `headers.X-Key` as its first part and the rest, so that the first can be renamed. */
export function splitField(field: string): [first: string, rest: string] {
  const end = field.search(/[.[]/);
  return end === -1 ? [field, ""] : [field.slice(0, end), field.slice(end)];
}
