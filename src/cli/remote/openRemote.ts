/** The client of the management API as commands use it. */
import { ApiError, type Client, createClient } from "../../client/client.ts";
import { InvalidInput } from "../../domain/errors.ts";
import { VERSION } from "../../version.ts";
import type { Remote } from "./findRemote.ts";

/** The client for a server. */
export function openRemote({ url, token }: Remote): Client {
  return createClient({ url, token, headers: { "User-Agent": `egret-cli/${VERSION}` } });
}

/** The answer, or null when the server knows no such object. */
export async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** A workspace key is for one workspace. @throws InvalidInput when another one is named. */
export async function checkWorkspace(client: Client, wanted: string | undefined): Promise<void> {
  if (wanted === undefined) return;
  const { data: own } = await client.getOwnWorkspace();
  if (own.name === wanted || String(own.id) === wanted) return;
  throw new InvalidInput(`the token is for workspace ${own.name}: for "${wanted}" use a token of its own`);
}
