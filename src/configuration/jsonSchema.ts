/** JSON Schemas of what outsiders write and read: egret.yaml, the events of the log, the commands. */
import { z } from "zod";
import { COMMAND_SCHEMAS } from "../domain/command.ts";
import { EVENT_DATA, type EventType, eventSchema } from "../domain/event.ts";
import { fileSchema, NAME_FORM } from "./fileSchema.ts";

/** Every schema file, by its path below the repository's root, as the text that should stand in it. */
export function schemaFiles(): Map<string, string> {
  const files = new Map<string, string>();
  files.set("docs/egret.schema.json", asText({ ...egretFileSchema(), title: "egret.yaml" }));
  for (const type of Object.keys(EVENT_DATA) as EventType[]) {
    // As an input: a reader of events must not choke on a field that a later version adds.
    const schema = z.toJSONSchema(eventSchema(type), {
      target: "draft-2020-12",
      io: "input",
      override: ({ jsonSchema }) => {
        // `format` says it in one word; the pattern beside it fills a screen.
        if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
      },
    });
    files.set(`docs/events/${type}.schema.json`, asText({ ...schema, title: type }));
  }
  for (const [verb, command] of Object.entries(COMMAND_SCHEMAS)) {
    const schema = z.toJSONSchema(command, { target: "draft-2020-12", io: "input" });
    files.set(`docs/commands/${verb}.schema.json`, asText({ ...schema, title: `command: ${verb}` }));
  }
  return files;
}

/** Folders that hold generated schemas and nothing else. */
export const SCHEMA_FOLDERS = ["docs/events", "docs/commands"] as const;

/** Draft 7, which every editor reads. Forms of texts, but for names, are left out: `${NAME}` may stand for any of them. */
function egretFileSchema(): object {
  return z.toJSONSchema(fileSchema, {
    target: "draft-7",
    io: "input",
    override: ({ jsonSchema }) => {
      if (jsonSchema.pattern === NAME_FORM.source) return;
      delete jsonSchema.format;
      delete jsonSchema.pattern;
    },
  });
}

function asText(schema: object): string {
  return `${JSON.stringify(schema, null, 2)}\n`;
}
