/** Credentials of destinations as clients send them, and the names by which faults in them are told. */
import { DESTINATION_TYPES, findDestinationType } from "../../configuration/destinationTypes.ts";
import { suggestion } from "../../configuration/nearest.ts";
import { type ReadCredentials, readCredentials } from "../../configuration/readCredentials.ts";
import { InvalidInput } from "../../domain/errors.ts";
import { splitField } from "./fieldNames.ts";

/** Names of the kinds that there are. */
export const DESTINATION_KINDS = DESTINATION_TYPES.map(({ type }) => type);

const WHERE = "service_connection";

/**
 * The credentials of a destination of that kind by our names.
 * @throws InvalidInput naming the kinds that there are, or what is wrong with a value.
 */
export function credentialsOf(type: string, sent: Readonly<Record<string, unknown>>): ReadCredentials {
  const kind = findDestinationType(type);
  if (kind !== null) return namedCredentials(() => readCredentials(kind, sent));
  const message = `There is no kind of destination of that name.${suggestion(type, DESTINATION_KINDS)}`;
  throw new InvalidInput(`${WHERE}.type: ${message}`, [{ field: `${WHERE}.type`, message }]);
}

function namedCredentials<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    const problems = error.problems.map(({ field, message }) => ({
      field: `${WHERE}.credentials.${field}`,
      message,
    }));
    throw new InvalidInput(problems.map(({ field, message }) => `${field}: ${message}`).join(" "), problems, {
      cause: error,
    });
  }
}

/** Where a field of the entry stands in what the client sent. */
export function fieldsOf(read: ReadCredentials | null): (field: string) => string {
  return (field) => {
    if (field === "label") return `${WHERE}.name`;
    const [first, rest] = splitField(field);
    return `${WHERE}.credentials.${read?.nameOf(first) ?? first}${rest}`;
  };
}

/**
 * A destination stays of its kind: its credentials would mean something else.
 * @throws InvalidInput.
 */
export function refuseOtherType(type: string, wanted: string | null | undefined): void {
  if (wanted === undefined || wanted === null || wanted === "" || wanted === type) return;
  const message = `The kind of a destination cannot be changed from ${type}; make another one.`;
  throw new InvalidInput(`${WHERE}.type: ${message}`, [{ field: `${WHERE}.type`, message }]);
}
