/** The statechart of one alert: what one configuration watches in the runs of one sync, raised and resolved again and again. */
import { assign, setup } from "xstate";

/** Version of this statechart, written into each event as `machine: alert@1`. */
export const ALERT_MACHINE = "alert@1";

/**
 * What can happen to an alert. `run` is the run that shows it; runs are numbered in their order, so that none is
 * looked at twice. `episode` is the number under which subscribers know what begins here and ends with a resolution.
 */
export type AlertFact =
  | { type: "limit.violated"; run: number; episode: number }
  | { type: "moment.came"; run: number; episode: number }
  | { type: "limit.kept"; run: number }
  | { type: "watch.ended" };

/** What an alert remembers: the last run that moved it, the episode that is open, and how often that was raised. */
export interface AlertContext {
  run: number;
  episode: number | null;
  times: number;
}

const machine = setup({
  // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- xstate infers its types from this cast
  types: {} as { context: AlertContext; events: AlertFact },
  guards: {
    isLaterRun: ({ context, event }) => "run" in event && event.run > context.run,
    isSameEpisode: ({ context, event }) =>
      event.type === "limit.violated" && event.run > context.run && event.episode === context.episode,
  },
  actions: {
    /** Effect: subscribers hear that it is raised. */
    tellRaised: () => undefined,
    /** Effect: subscribers hear that it is resolved. */
    tellResolved: () => undefined,
    rememberRun: assign({ run: ({ context, event }) => ("run" in event ? event.run : context.run) }),
    openEpisode: assign({
      episode: ({ event }) => ("episode" in event ? event.episode : null),
      times: 1,
    }),
    countTime: assign({ times: ({ context }) => context.times + 1 }),
    closeEpisode: assign({ episode: null, times: 0 }),
  },
});

/**
 * resolved -> raised -> resolved. At most one episode is open (behaviour.md 13.36). A moment, such as the start of a run, is
 * raised and over at once. When nobody watches any more, the episode that is open closes without a word.
 */
export const alertMachine = machine.createMachine({
  id: "alert",
  context: { run: 0, episode: null, times: 0 },
  initial: "resolved",
  states: {
    resolved: {
      on: {
        "limit.violated": {
          guard: "isLaterRun",
          target: "raised",
          actions: ["rememberRun", "openEpisode"],
        },
        "moment.came": {
          guard: "isLaterRun",
          target: "resolved",
          reenter: true,
          actions: ["rememberRun", "tellRaised"],
        },
      },
    },
    raised: {
      entry: "tellRaised",
      on: {
        "limit.violated": {
          guard: "isSameEpisode",
          target: "raised",
          reenter: true,
          actions: ["rememberRun", "countTime"],
        },
        "limit.kept": {
          guard: "isLaterRun",
          target: "resolved",
          actions: ["rememberRun", "closeEpisode", "tellResolved"],
        },
        "watch.ended": { target: "resolved", actions: "closeEpisode" },
      },
    },
  },
});
