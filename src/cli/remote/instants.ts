/** Instants of the API as dates. */

/** The instant, or null. */
export function dateOrNull(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
