/** The options of Node that Egret is started with, for processes that a test measures. */
import packageJson from "../../package.json" with { type: "json" };

/** As `npm start` has them. */
export const NODE_OPTIONS: readonly string[] = packageJson.scripts.start
  .split(" ")
  .filter((word) => word.startsWith("--"));
