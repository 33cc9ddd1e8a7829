/** `egret login` and `egret logout`: the server that commands work with when nothing else says where Egret is. */
import { Command } from "commander";
import { ApiError } from "../client/client.ts";
import { readConfig } from "../config.ts";
import { InvalidInput } from "../domain/errors.ts";
import { type DeskOptions, onlyRemote } from "./deskOptions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { hiddenInput } from "./hiddenInput.ts";
import { serverOf } from "./remote/findRemote.ts";
import { forgetLogin, keepLogin, loginPath } from "./remote/loginFile.ts";
import { openRemote } from "./remote/openRemote.ts";
import { complain, print, printJson } from "./terminal.ts";

type LoginOptions = DeskOptions & { json?: boolean };

/** The command that logs in. */
export function loginCommand(): Command {
  const command = new Command("login")
    .description("keep a server and a token for it, with which commands then work by its API")
    .argument("<url>", "address of the server, such as https://egret.example")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `\nThe token is asked for and not shown; a script sends it by standard input, or sets EGRET_TOKEN. It is tried before\n` +
        `it is kept, in a file that only you can read. A workspace key is made on the server: egret token create\n` +
        `${EXIT_CODES_HELP}\n\nExamples:\n  egret login https://egret.example\n  egret login https://egret.example < token.txt`,
    );
  return onlyRemote(command).action(login);
}

async function login(address: string, options: LoginOptions): Promise<void> {
  if (options.url !== undefined) throw new InvalidInput("the server is named twice: leave out --url");
  const url = serverOf(address);
  const isPlain = url.startsWith("http:") && !/^http:\/\/(localhost|127\.|\[::1\])/.test(url);
  if (isPlain) complain("The address is http://: whoever is on the way can read the token.");
  const token = options.token ?? readConfig().remoteToken ?? (await hiddenInput("Token: "));
  const workspace = await workspaceOf(url, token);
  const file = await keepLogin({ url, token });
  if (options.json === true) printJson({ url, workspace: workspace.name, workspace_id: workspace.id, file });
  else print(`Logged in to ${url}, workspace ${workspace.name}; kept in ${file}`);
}

/** @throws InvalidInput when the token is not one to work with. */
async function workspaceOf(url: string, token: string): Promise<{ id: number; name: string }> {
  try {
    return (await openRemote({ url, token }).getOwnWorkspace()).data;
  } catch (error) {
    if (error instanceof TypeError)
      throw new InvalidInput(`${error.message}; nothing is kept`, [], { cause: error });
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) throw new InvalidInput(`${url} does not accept this token; nothing is kept`);
    if (error.status === 403)
      throw new InvalidInput(`${url} does not let this token do it: ${error.message} Nothing is kept`);
    throw error;
  }
}

/** The command that forgets. */
export function logoutCommand(): Command {
  const command = new Command("logout")
    .description("forget the server that was logged in to, and the token")
    .addHelpText(
      "after",
      "\nThe token itself stays in force: `egret token revoke` on the server ends it.\n\nExample:\n  egret logout",
    );
  return onlyRemote(command).action(async () => {
    const isForgotten = await forgetLogin();
    print(isForgotten ? `Logged out: ${loginPath()} is gone.` : "There was no login.");
  });
}
