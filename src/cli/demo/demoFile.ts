/** The egret.yaml of the demo. */

/** Addresses and secrets that the demo made up as it started. */
export interface DemoAddresses {
  warehouseUrl: string;
  destinationUrl: string;
  signingSecret: string;
  feedUrl: string;
  pagerUrl: string;
}

/** Names that the file gives. */
export const DEMO_NAMES = {
  workspace: "demo",
  sync: "airports",
  feed: "activity_feed",
  pager: "flaky_pager",
} as const;

/** Rows of one request: small, so that there is something to watch. */
export const DEMO_BATCH_SIZE = 50;

/** Value of the one field that no column fills. */
export const DEMO_ORIGIN = "vega-datasets";

/** The text of the file. Its secrets are defaults of variables, so that it can be applied again from another shell. */
export function demoFile(addresses: DemoAddresses): string {
  return `# What the demo runs. Change it and apply it again: egret apply -f <this file>
workspace: ${DEMO_NAMES.workspace}

sources:
  warehouse:
    type: postgres
    url: \${DEMO_WAREHOUSE_URL:-${addresses.warehouseUrl}}

models:
  airports_of_the_us:
    source: warehouse
    query: |
      SELECT iata, name, city, state, country, latitude, longitude
      FROM public.airports

destinations:
  flight_ops:
    type: webhook
    url: ${addresses.destinationUrl}
    batch_size: ${DEMO_BATCH_SIZE}
    signing_secret: \${DEMO_SIGNING_SECRET:-${addresses.signingSecret}}

syncs:
  ${DEMO_NAMES.sync}:
    label: Airports to flight operations
    model: airports_of_the_us
    destination: flight_ops
    operation: upsert
    key: iata
    mappings:
      - name
      - city
      - { column: state, to: region }
      - country
      - latitude
      - longitude
      - { constant: ${DEMO_ORIGIN}, to: origin }

webhooks:
  ${DEMO_NAMES.feed}:
    description: Gets every lifecycle event
    endpoint: ${addresses.feedUrl}
  ${DEMO_NAMES.pager}:
    description: Answers 500 twice before it accepts
    endpoint: ${addresses.pagerUrl}
    events: [sync.triggered, sync.completed, sync.failed]
`;
}
