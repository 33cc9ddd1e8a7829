/** The little of a logger that the embedded servers need; the caller's logger satisfies it. */
export interface EmbeddedLog {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
}
