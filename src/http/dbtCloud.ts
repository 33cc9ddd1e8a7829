/** What dbt Cloud says when a run of a job has completed, as far as it starts a sync. */
import { z } from "zod";

/** Source: the example of a completed run at docs.getdbt.com/docs/deploy/webhooks; what else stands in it is not looked at. */
const noticeSchema = z.object({
  eventId: z.string().max(200).optional(),
  eventType: z.literal("job.run.completed"),
  data: z.object({
    jobName: z.string().optional(),
    jobId: z.union([z.string(), z.number()]).optional(),
    runId: z.union([z.string(), z.number()]).optional(),
    runStatus: z.literal("Success"),
  }),
});

/** A job run that ended well; `eventId` is the same when dbt Cloud repeats its notice. */
export interface DbtJobRun {
  eventId: string | undefined;
  /** For sync_trigger_reason.ui_detail. */
  words: string;
}

const MAX_NAME_CHARS = 200;

/** Null for anything else than the notice of a job run that completed with success. */
export function dbtJobRun(body: string): DbtJobRun | null {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return null;
  }
  const notice = noticeSchema.safeParse(value);
  if (!notice.success) return null;
  const { eventId, data } = notice.data;
  const job = String(data.jobName ?? data.jobId ?? "unknown").slice(0, MAX_NAME_CHARS);
  return { eventId, words: `Run ${data.runId ?? "unknown"} of job ${job}` };
}
