/** A sync as queries of its source, checked against what the source has now. */
import type { Sync } from "../domain/configuration.ts";
import { InvalidInput, RunFailure } from "../domain/errors.ts";
import { postgresSource } from "../sources/postgres.ts";
import type { CompiledSync, SourceLimits } from "../sources/source.ts";

/** @throws RunFailure when the source does not answer, or the sync does not fit it. */
export async function compileSync(sync: Sync, limits?: SourceLimits): Promise<CompiledSync> {
  const columns = await postgresSource
    .describeObject(sync.source, sync.object, limits)
    .catch((error: unknown) => {
      if (!(error instanceof InvalidInput)) throw error;
      throw new RunFailure("CONFIG_INVALID", error.message, "Mend the model, apply, and trigger again.", {
        cause: error,
      });
    });
  return postgresSource.compile(sync, columns);
}
