/** Shows the mappings of a stored sync as its client wrote them. */
import { KEY_FIELD, type Mapping } from "../../../domain/configuration.ts";
import { type Extras, type KeptMappings, type MappingObject, NO_EXTRAS } from "./mappingSchemas.ts";

/** The mappings of a stored sync, the key among them where its client wrote it. */
export function presentMappings(stored: readonly Mapping[], kept: Partial<KeptMappings>): MappingObject[] {
  const isKey = (mapping: Mapping): boolean => "column" in mapping && mapping.key === true;
  const others = stored.filter((mapping) => !isKey(mapping));
  const shown = others.map((mapping) => present(mapping, extrasOf(kept, mapping.to)));
  const key = stored.find(isKey);
  if (key !== undefined) {
    const { to = KEY_FIELD, at = 0, extras = {} } = kept.key ?? {};
    shown.splice(at, 0, { ...present(key, extras), to, is_primary_identifier: true });
  }
  shown.forEach((mapping, position) => (mapping.position = position));
  return shown;
}

/** Fields may be called anything, also as something that every object has. */
function extrasOf({ extras = {} }: Partial<KeptMappings>, field: string): Extras {
  return Object.hasOwn(extras, field) ? (extras[field] ?? {}) : {};
}

function present(mapping: Mapping, extras: Extras): MappingObject {
  return {
    from: presentFrom(mapping),
    to: mapping.to,
    is_primary_identifier: false,
    sync_null_values: !("sync_null_values" in mapping && mapping.sync_null_values === false),
    ...("field_type" in mapping && mapping.field_type !== undefined
      ? { field_type: mapping.field_type }
      : {}),
    operation: null,
    ...NO_EXTRAS,
    ...extras,
    position: 0,
  } as MappingObject;
}

function presentFrom(mapping: Mapping): MappingObject["from"] {
  if ("column" in mapping) return { type: "column", data: mapping.column };
  if ("template" in mapping) return { type: "liquid_template", data: { liquid_template: mapping.template } };
  if ("metadata" in mapping) return { type: "sync_metadata", data: mapping.metadata };
  const { constant, basic_type } = mapping;
  const types: Record<string, string> = { number: "number", boolean: "boolean" };
  return {
    type: "constant_value",
    data: { value: constant, basic_type: basic_type ?? types[typeof constant] ?? "text" },
  };
}
