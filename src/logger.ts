/** Log lines: JSON by pino, or readable text on a terminal; secrets never pass. */
import { type DestinationStream, type Logger, type LoggerOptions, pino } from "pino";
import pretty from "pino-pretty";

/** Field names whose values are never written, at the top of a line and one level down (I11). */
const SECRET_FIELDS = [
  "password",
  "secret",
  "token",
  "auth_token",
  "signing_secret",
  "authorization",
  "databaseUrl",
  "natsUrl",
  "url",
  "payload",
  "body",
];

/** Settings of the log of one process. */
export interface LoggerSettings {
  level: string;
  /** Readable lines instead of JSON. */
  pretty: boolean;
  /** Where lines go; standard output unless given. */
  stream?: DestinationStream;
}

/** An address with user and password inside any text, such as an error's message. */
const CREDENTIALS_IN_URL = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi;

const GATHER_MS = 50;
const GATHER_CHARACTERS = 16_384;

/** Opens the log. Standard error is left to the CLI's own messages. */
export function openLogger({ level, pretty: readable, stream }: LoggerSettings): Logger {
  const options: LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: "[redacted]" },
    serializers: {
      // A stack or a message can quote an address with its password; a database error can quote a row.
      err: (error: Error & { code?: string }) => ({
        type: error.name,
        code: error.code,
        message: error.message.replace(CREDENTIALS_IN_URL, "$1[redacted]@"),
        stack: error.stack?.split("\n").slice(1, 6).join("\n"),
      }),
    },
  };
  if (readable) return pino(options, pretty({ singleLine: true, ...(stream && { destination: stream }) }));
  return pino(options, stream ?? gathered(pino.destination({ dest: 1, sync: true })));
}

/** Writes lines together: a busy worker says so much that a system call a line would be felt. What a kill -9 takes is GATHER_MS of lines. */
function gathered(output: DestinationStream): DestinationStream {
  let lines = "";
  let timer: NodeJS.Timeout | null = null;
  const flush = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (lines !== "") output.write(lines);
    lines = "";
  };
  process.once("exit", flush);
  return {
    write: (line) => {
      lines += line;
      if (lines.length >= GATHER_CHARACTERS) flush();
      else timer ??= setTimeout(flush, GATHER_MS).unref();
    },
  };
}
