/** Three test projects by cost: unit touches nothing outside the process, integration real servers, e2e the whole program. */
import { defineConfig } from "vitest/config";

// Started by hand under an older Node, the migrations could not be loaded, late and with a riddle for a message.
if (Number(process.versions.node.split(".")[0]) < 24) {
  throw new Error(
    `the tests need Node 24 and this is ${process.version}: use "npm test", which brings it along`,
  );
}

const unit = ["test/machines/**/*.test.ts", "test/domain/**/*.test.ts", "test/**/*.unit.test.ts"];
const e2e = ["test/e2e/**/*.test.ts"];
const servers = ["test/support/servers.ts"];

export default defineConfig({
  test: {
    pool: "forks",
    projects: [
      { extends: true, test: { name: "unit", include: unit, exclude: e2e } },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/**/*.test.ts"],
          exclude: [...unit, ...e2e],
          globalSetup: servers,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: e2e,
          globalSetup: servers,
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // Each starts the whole program: two at once on a small machine measure each other.
          fileParallelism: false,
        },
      },
    ],
  },
});
