/** The statechart of an endpoint: the health of one target, and whether first attempts at it may begin. */
import { assign, setup } from "xstate";

/** Version of this statechart, written into each event as `machine: endpoint@1`. */
export const ENDPOINT_MACHINE = "endpoint@1";

/** States of an endpoint; while it is open, probing or disabled, no delivery begins. */
export const ENDPOINT_STATES = ["healthy", "failing", "open", "probing", "disabled"] as const;
export type EndpointState = (typeof ENDPOINT_STATES)[number];

/**
 * What can happen to an endpoint. Probes are numbered from 1 in each outage; `configVersion` is the version of the
 * webhook's configuration that switched it off or on, so that no older change undoes a newer one.
 */
export type EndpointFact =
  | { type: "failures.repeated" }
  | { type: "failures.lasted" }
  | { type: "probe.begun"; probe: number }
  | { type: "probe.failed"; probe: number }
  | { type: "target.accepted" }
  | { type: "target.disabled"; configVersion: number }
  | { type: "target.enabled"; configVersion: number };

/** What an endpoint remembers: probes made in this outage, and the last switch that it followed. */
export interface EndpointContext {
  probes: number;
  configVersion: number;
}

const machine = setup({
  // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- xstate infers its types from this cast
  types: {} as { context: EndpointContext; events: EndpointFact },
  guards: {
    isNextProbe: ({ context, event }) => event.type === "probe.begun" && event.probe === context.probes + 1,
    isThisProbe: ({ context, event }) => event.type === "probe.failed" && event.probe === context.probes,
    isNewer: ({ context, event }) => "configVersion" in event && event.configVersion > context.configVersion,
  },
  actions: {
    /** Effect: deliveries begin as they come. */
    letThrough: () => undefined,
    /** Effect: deliveries that have not begun wait; those that have begun keep their schedule. */
    holdBack: () => undefined,
    /** Effect: exactly one delivery begins. */
    letOneThrough: () => undefined,
    /** Effect: tell the operator. */
    alert: () => undefined,
    countProbe: assign({ probes: ({ context }) => context.probes + 1 }),
    forgetProbes: assign({ probes: 0 }),
    rememberSwitch: assign({
      configVersion: ({ context, event }) =>
        "configVersion" in event ? event.configVersion : context.configVersion,
    }),
  },
});

const recovering = { "target.accepted": { target: "healthy", actions: "forgetProbes" } } as const;
const disabling = {
  "target.disabled": { guard: "isNewer", target: "disabled", actions: "rememberSwitch" },
} as const;
const probing = { guard: "isNextProbe", target: "probing", actions: "countProbe" } as const;

/**
 * healthy -> failing -> open -> probing -> healthy or open again; disabled from anywhere until it is enabled again.
 * Any acceptance is recovery, also that of a retry while the circuit is open. A probe that nobody reports is followed
 * by the next one. Every endpoint begins healthy: its first event says so, with the first trouble.
 */
export const endpointMachine = machine.createMachine({
  id: "endpoint",
  context: { probes: 0, configVersion: 0 },
  initial: "healthy",
  states: {
    healthy: { entry: "letThrough", on: { "failures.repeated": "failing", ...disabling } },
    failing: { on: { "failures.lasted": "open", ...recovering, ...disabling } },
    open: { entry: ["holdBack", "alert"], on: { "probe.begun": probing, ...recovering, ...disabling } },
    probing: {
      entry: "letOneThrough",
      on: {
        "probe.failed": { guard: "isThisProbe", target: "open" },
        "probe.begun": { ...probing, reenter: true },
        ...recovering,
        ...disabling,
      },
    },
    disabled: {
      entry: ["holdBack", "alert"],
      on: {
        "target.enabled": {
          guard: "isNewer",
          target: "healthy",
          actions: ["rememberSwitch", "forgetProbes"],
        },
      },
    },
  },
});
