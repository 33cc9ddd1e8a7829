/** The W3C trace context of whoever asks something of us, as it travels through commands, events and requests. */

/** The parts of a `traceparent`. Ids are lower-case hex. */
export interface TraceContext {
  traceId: string;
  spanId: string;
  isSampled: boolean;
}

const FORMAT = /^([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;

/**
 * The context in the text of a header, or null when there is none that counts: by W3C Trace Context a header that is
 * not well-formed is ignored, and of a later version only the parts that version 00 has are read.
 */
export function parseTraceparent(text: string | null | undefined): TraceContext | null {
  const [, version, traceId, spanId, flags, rest] = FORMAT.exec(text ?? "") ?? [];
  if (version === undefined || version === "ff" || (version === "00" && rest !== undefined)) return null;
  return {
    traceId: traceId as string,
    spanId: spanId as string,
    isSampled: (Number.parseInt(flags as string, 16) & SAMPLED) === SAMPLED,
  };
}

/** The header of a context, in version 00. */
export function formatTraceparent({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${isSampled ? "01" : "00"}`;
}

/** A header as it may go on its way again, or undefined when it is none: what came from outside enters by this door. */
export function cleanTraceparent(text: string | null | undefined): string | undefined {
  const context = parseTraceparent(text);
  return context === null ? undefined : formatTraceparent(context);
}
