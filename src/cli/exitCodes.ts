/** What the exit codes of `egret` mean, for scripts. */

/** Exit codes that every command keeps to. */
export const EXIT = { success: 0, failed: 1, badInput: 2, unreachable: 3, timedOut: 4 } as const;

/** The codes as `--help` shows them. */
export const EXIT_CODES_HELP = `
Exit codes:
  0  done
  1  it was done, and it failed
  2  something in what was asked is wrong; nothing was done
  3  Postgres, NATS or the server of --url cannot be reached, or nothing says where they are
  4  nothing happened in time: is a worker running?`;
