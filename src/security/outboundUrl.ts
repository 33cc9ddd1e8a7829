/** What configuration asks of a target's URL before anything is sent: it says what it means, and may be called. */
import { isIP } from "node:net";
import {
  ALLOW_SETTING,
  addressRefusal,
  isPortAllowed,
  type OutboundPolicy,
  type RefusalCode,
} from "./outboundPolicy.ts";

/** Why a URL is not taken; `message` is one sentence with the fix and quotes no secret. */
export interface UrlProblem {
  code: "EGRET_URL_INVALID" | "EGRET_SCHEME_FORBIDDEN" | RefusalCode;
  message: string;
}

/** What may stand in a URL. */
export interface UrlRules {
  policy: OutboundPolicy;
  /** Whether http:// is taken, too. */
  allowHttp: boolean;
}

/** The first thing that is wrong with a URL, or null. No name is looked up here: that is each connection's own check. */
export function vetUrl(text: string, { policy, allowHttp }: UrlRules): UrlProblem | null {
  const invalid = (message: string): UrlProblem => ({ code: "EGRET_URL_INVALID", message });
  // The URL parser drops or turns these round without a word: what a person reads would not be what is called.
  if (/[\s\p{Cc}\\]/u.test(text)) return invalid("Holds a space, a backslash or a control character.");
  const url = URL.parse(text);
  if (url === null) return invalid("Is not a URL; write one such as https://hooks.example.com/in.");
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    return { code: "EGRET_SCHEME_FORBIDDEN", message: "Must begin with https:// or http://." };
  }
  if (!/^https?:\/\/[^/]/i.test(text)) return invalid("Must begin with https:// or http:// and a host.");
  if (url.username !== "" || url.password !== "" || /^[^/]*\/\/[^/?#]*@/.test(text)) {
    return invalid("Must not hold a user or a password; put a token into a header or the path.");
  }
  if (text.includes("#"))
    return invalid("Must not hold a fragment: what follows # is never sent (write %23 for the sign).");
  if (url.protocol === "http:" && !allowHttp) {
    return {
      code: "EGRET_SCHEME_FORBIDDEN",
      message: "Must begin with https:// (for development, set EGRET_ALLOW_HTTP=true).",
    };
  }
  return targetProblem(url, policy);
}

function targetProblem(url: URL, policy: OutboundPolicy): UrlProblem | null {
  const port = url.port === "" ? null : Number(url.port);
  if (!isPortAllowed(policy, port ?? (url.protocol === "https:" ? 443 : 80))) {
    const which = port === null ? "The usual port of its scheme" : `Port ${port}`;
    return { code: "EGRET_PORT_FORBIDDEN", message: `${which} is not called; choose another port.` };
  }
  // The parser has turned every spelling of an IPv4 address into four decimal numbers by now.
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  const isLocalhost = host === "localhost" || host.endsWith(".localhost");
  // Source: RFC 6761: these names never leave the machine.
  const addresses = isLocalhost ? ["127.0.0.1", "::1"] : isIP(host) === 0 ? [] : [host];
  for (const address of addresses) {
    const range = addressRefusal(policy, address);
    if (range === null) continue;
    const fix = isLocalhost ? "127.0.0.0/8,::1" : host;
    return {
      code: "EGRET_ADDRESS_FORBIDDEN",
      message: `Leads to ${range}, which is not called unless allowed by ${ALLOW_SETTING}=${fix}.`,
    };
  }
  return null;
}
