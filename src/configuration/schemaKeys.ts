/** Which keys a map of egret.yaml may hold, and which it must, by where in the file it stands. */
// oxlint-disable no-underscore-dangle, typescript/no-unnecessary-type-assertion -- how zod lets a program look into a schema
import type { z } from "zod";
import type { FieldPath } from "./fileProblem.ts";

type Schema = z.core.$ZodType;
type Shape = Readonly<Record<string, Schema>>;

/** A place in the file: what is read there, and the schema that reads it. */
interface Place {
  schema: Schema;
  value: unknown;
}

/** The keys that are known at a path, in the order of the schema; none where there is no map. */
export function keysAt(place: Place, path: FieldPath): string[] {
  return [...new Set(shapesAt(place, path).flatMap((shape) => Object.keys(shape)))];
}

/** The keys without which no map at a path is complete. */
export function neededKeysAt(place: Place, path: FieldPath): string[] {
  const [shape = {}] = shapesAt(place, path);
  return Object.keys(shape).filter((key) => shape[key]?._zod.optin === undefined);
}

/** Of a choice between maps those whose kind the value names, or all. */
function shapesAt({ schema, value }: Place, path: FieldPath): Shape[] {
  const [step, ...rest] = path;
  return inside(schema, value).flatMap((found): Shape[] => {
    const { def } = (found as z.core.$ZodTypes)._zod;
    if (step === undefined) return def.type === "object" ? [def.shape as Shape] : [];
    const next = { value: own(value, step) };
    if (def.type === "record") return shapesAt({ ...next, schema: def.valueType as Schema }, rest);
    if (def.type === "array") return shapesAt({ ...next, schema: def.element as Schema }, rest);
    const member = def.type === "object" ? (def.shape as Shape)[step] : undefined;
    return member === undefined ? [] : shapesAt({ ...next, schema: member }, rest);
  });
}

/** A schema without what says whether it may be left out, and the branches of a choice instead of the choice. */
function inside(schema: Schema, value: unknown): Schema[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (def.type === "optional" || def.type === "default" || def.type === "nullable")
    return inside(def.innerType as Schema, value);
  if (def.type === "pipe") return inside(def.in as Schema, value);
  if (def.type !== "union") return [schema];
  const branches = def.options as readonly Schema[];
  const name = (def as Partial<z.core.$ZodDiscriminatedUnionDef>).discriminator;
  const meant =
    name === undefined
      ? []
      : branches.filter((branch) => branch._zod.propValues?.[name]?.has(own(value, name) as string));
  return (meant.length > 0 ? meant : branches).flatMap((branch) => inside(branch, value));
}

function own(value: unknown, name: string | number): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string | number, unknown>)[name];
}
