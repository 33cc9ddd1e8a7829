/** Says whether a command is meant for a server elsewhere, for which one, and with which token. */
import { readConfig } from "../../config.ts";
import { InvalidInput } from "../../domain/errors.ts";
import { readDevelopmentServices } from "../../embedded/services.ts";
import type { DeskOptions } from "../deskOptions.ts";
import { NotConfigured } from "../failures.ts";
import { type Login, readLogin } from "./loginFile.ts";

/** A server and the token for it. */
export interface Remote {
  /** Without `/api/v1` and without a slash at its end. */
  url: string;
  token: string;
}

/**
 * The server that is meant; null for services here. What is said for this command wins over what is said for the shell,
 * and a login over neither: it must not take over from services that are set or run here.
 * @throws NotConfigured when there is no token for it; InvalidInput when two places are named.
 */
export async function findRemote(options: DeskOptions): Promise<Remote | null> {
  const config = readConfig();
  const dir = options.dir ?? config.dir;
  const named = options.url ?? (options.dir === undefined ? config.remoteUrl : null);
  if (named === null) {
    const isHere = options.dir !== undefined || config.databaseUrl !== null || config.natsUrl !== null;
    if (options.token === undefined) {
      if (isHere || (await readDevelopmentServices(dir)) !== undefined) return null;
      const login = await readLogin();
      return login === null ? null : { ...login, token: config.remoteToken ?? login.token };
    }
  } else if (options.dir !== undefined) {
    throw new InvalidInput("--url and --dir name two places: give one of them");
  }
  return withToken(named, options.token ?? config.remoteToken);
}

async function withToken(named: string | null, given: string | null): Promise<Remote> {
  if (named !== null && given !== null) return { url: serverOf(named), token: given };
  const login: Login | null = await readLogin();
  const url = named === null ? (login?.url ?? null) : serverOf(named);
  if (url === null)
    throw new NotConfigured("there is a token and no server for it: name one with --url or EGRET_URL");
  // A token goes to the server that it was given for, and to no other.
  const token = given ?? (login?.url === url ? login.token : null);
  if (token !== null) return { url, token };
  throw new NotConfigured(`there is no token for ${url}: run \`egret login ${url}\`, or set EGRET_TOKEN`);
}

/**
 * An address as logins are compared by it.
 * @throws InvalidInput when it is none.
 */
export function serverOf(text: string): string {
  const url = URL.parse(text);
  const isUsable = url !== null && (url.protocol === "https:" || url.protocol === "http:");
  if (!isUsable)
    throw new InvalidInput("the server's address is none: write one such as https://egret.example");
  if (url.username !== "" || url.password !== "") {
    throw new InvalidInput(
      "the server's address must not hold a token: set EGRET_TOKEN, or run `egret login`",
    );
  }
  return url.origin + url.pathname.replace(/\/+$/, "").replace(/\/api\/v1$/, "");
}
