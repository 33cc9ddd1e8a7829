/** `egret columns <source>`: columns and types of a model, a table or a query, as the source has them now. */
import { readFile } from "node:fs/promises";
import { Command } from "commander";
import type { Kysely } from "kysely";
import { readSource } from "../configuration/store.ts";
import type { SyncObject } from "../domain/configuration.ts";
import { InvalidInput, NotFound, toError } from "../domain/errors.ts";
import { PREVIEW_LIMITS } from "../engine/preview.ts";
import type { Database } from "../projections/database.ts";
import { postgresSource } from "../sources/postgres.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { findSourceNamed, findWorkspace, type Named } from "./findConfigured.ts";
import { findServices, type ReachOptions, secretBoxOf, withDatabase, withReachOptions } from "./reach.ts";
import { print, printJson, table } from "./terminal.ts";

interface ColumnsOptions extends ReachOptions {
  model?: string;
  table?: string;
  query?: string;
  workspace?: string;
  json?: boolean;
}

/** The command. */
export function columnsCommand(): Command {
  const command = new Command("columns")
    .description("show the columns of a model, a table or a query of a source, with their types")
    .argument("<source>", "name or id of the source")
    .option("--model <name>", "a model of the source")
    .option("--table <schema.table>", "a table or view; without a schema it is looked for in public")
    .option("--query <file>", "a file with one SELECT, such as a model to be")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object a line")
    .addHelpText(
      "after",
      `${EXIT_CODES_HELP}\n\nExample:\n  egret columns warehouse --table public.airports`,
    );
  return withReachOptions(command).action((source: string, options: ColumnsOptions) =>
    columns(source, options),
  );
}

async function columns(sourceName: string, options: ColumnsOptions): Promise<void> {
  const reach = await findServices(options);
  const box = secretBoxOf(reach);
  const { source, object } = await withDatabase(reach, async ({ db }) => {
    const workspace = await findWorkspace(db, options.workspace);
    const found = await findSourceNamed(db, workspace, sourceName);
    return { source: await readSource(db, box, found.id), object: await objectOf(db, found, options) };
  });
  if (source === null) throw new NotFound(`there is no source "${sourceName}"`);
  const found = await postgresSource.describeObject(source, object, PREVIEW_LIMITS);
  if (options.json === true) for (const column of found) printJson(column);
  else
    for (const line of table(
      ["column", "type"],
      found.map(({ name, type }) => [name, type]),
    ))
      print(line);
}

async function objectOf(db: Kysely<Database>, source: Named, options: ColumnsOptions): Promise<SyncObject> {
  const { model, table: name, query } = options;
  const given = [model, name, query].filter((each) => each !== undefined);
  if (given.length !== 1) throw new InvalidInput("name one thing to look at: --model, --table or --query");
  if (name !== undefined) {
    const [schema, tableName] = name.includes(".") ? splitName(name) : ["public", name];
    return { type: "table", schema, table: tableName };
  }
  if (query !== undefined) {
    const text = await readFile(query, "utf8").catch((cause: unknown) => {
      throw new InvalidInput(`the query cannot be read: ${toError(cause).message}`, [], { cause });
    });
    return { type: "model", modelId: 0, name: query, query: text };
  }
  const row = await db
    .selectFrom("egret.models")
    .select(["id", "name", "query"])
    .where("source_id", "=", source.id)
    .where("name", "=", model ?? "")
    .executeTakeFirst();
  if (row === undefined) throw new NotFound(`source ${source.name} has no model "${model}"`);
  return { type: "model", modelId: row.id, name: row.name, query: row.query };
}

function splitName(name: string): [string, string] {
  const dot = name.indexOf(".");
  return [name.slice(0, dot), name.slice(dot + 1)];
}
