/** What `egret login` keeps: one server and the token for it, in a file that its owner alone can read. */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { environment } from "../../config.ts";
import { InvalidInput } from "../../domain/errors.ts";

const loginSchema = z.object({ url: z.string().min(1), token: z.string().min(1) });

/** A server that was logged in to. */
export type Login = z.infer<typeof loginSchema>;

/** Below $XDG_CONFIG_HOME where that is an absolute path, else below ~/.config (XDG Base Directory Specification). */
export function loginPath(): string {
  const { XDG_CONFIG_HOME: folder = "" } = environment();
  return path.join(path.isAbsolute(folder) ? folder : path.join(homedir(), ".config"), "egret", "login.json");
}

/**
 * The login, or null when there is none.
 * @throws InvalidInput when the file is none of ours.
 */
export async function readLogin(): Promise<Login | null> {
  const file = loginPath();
  try {
    return loginSchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new InvalidInput(`the login in ${file} cannot be read: log in again, or run \`egret logout\``, [], {
      cause,
    });
  }
}

/** Keeps a login instead of the one before, and returns where. */
export async function keepLogin(login: Login): Promise<string> {
  const file = loginPath();
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  // Written beside it and moved: a file that was there with other rights does not hand them on.
  const fresh = `${file}.${process.pid}`;
  await writeFile(fresh, `${JSON.stringify(login, null, 2)}\n`, { mode: 0o600, flag: "wx" });
  await rename(fresh, file);
  return file;
}

/** Forgets the login; false when there was none. */
export async function forgetLogin(): Promise<boolean> {
  try {
    await rm(loginPath());
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
