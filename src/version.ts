/** The version of this program, and how it names itself in requests. */
import packageJson from "../package.json" with { type: "json" };

export const VERSION: string = packageJson.version;

/** User-Agent of requests to webhooks (behaviour.md 6.4). */
export const WEBHOOK_USER_AGENT = `egret-Webhooks/${VERSION}`;
