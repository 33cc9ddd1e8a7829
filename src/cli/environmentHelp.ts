/** The settings in the environment, as `egret --help` lists them. */
import { configVariables } from "../config.ts";

/** One line per variable. */
export function environmentHelp(): string {
  const variables = configVariables();
  const width = Math.max(...variables.map(({ name }) => name.length));
  const lines = variables.map(({ name, help, fallback }) => {
    const held = fallback === null ? "" : ` (default ${fallback})`;
    return `  ${name.padEnd(width)}  ${help}${held}`;
  });
  return ["\nSettings in the environment:", ...lines].join("\n");
}
