/** The most memory that a process has while something goes on. */
import { residentBytes } from "./cpu.ts";

const SAMPLE_MS = 100;

/** Runs the work and looks at the process ten times a second; its result, and the most bytes that were seen. */
export async function withPeakMemory<Result>(
  pid: number,
  work: () => Promise<Result>,
): Promise<{ result: Result; peakBytes: number }> {
  let peakBytes = await residentBytes(pid);
  const sampling = setInterval(() => {
    void residentBytes(pid).then((bytes) => {
      peakBytes = Math.max(peakBytes, bytes);
    });
  }, SAMPLE_MS);
  try {
    const result = await work();
    return { result, peakBytes };
  } finally {
    clearInterval(sampling);
  }
}
