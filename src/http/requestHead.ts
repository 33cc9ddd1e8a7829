/** What stands before the body of a request, as Node read it: quicker than through Hono, which reads all of it again. */
import type { HttpBindings } from "@hono/node-server";

/** A request that came through the server; a context of Hono is one. */
export interface Headed {
  env: HttpBindings;
}

/** A header by its name in small letters; null when there is none. Of several they stand joined, or only the first. */
export function headerOf({ env }: Headed, name: Lowercase<string>): string | null {
  const value = env.incoming.headers[name];
  return typeof value === "string" ? value : null;
}

/** Address of the connection, `unknown` where it is gone. A proxy's word for another one is not taken: anybody can send it. */
export function addressOf({ env }: Headed): string {
  return env.incoming.socket.remoteAddress ?? "unknown";
}
