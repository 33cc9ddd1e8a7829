/** What Egret may call: one decision on addresses and ports, asked by configuration and again by each connection. */
import { type AddressBlock, forbiddenRange, parseAddressBlocks } from "./addressRanges.ts";

/** The setting that messages name. */
export const ALLOW_SETTING = "EGRET_OUTBOUND_ALLOW";

/** Why a target may not be called. */
export type RefusalCode = "EGRET_ADDRESS_FORBIDDEN" | "EGRET_PORT_FORBIDDEN";

/** Which addresses and ports may be called. */
export interface OutboundPolicy {
  /** Special addresses that may be called all the same. */
  allow: readonly AddressBlock[];
  /** Null: all but a few. */
  allowPorts: readonly number[] | null;
}

/** A policy as it stands in the configuration. */
export interface OutboundPolicyOptions {
  /** Address blocks such as `10.0.0.0/8`; none unless given. */
  allow?: readonly string[];
  /** The only ports that may be called; null, the default, for all but the few below. */
  allowPorts?: readonly number[] | null;
}

/**
 * Ports of services that read line by line and so might obey what stands in a request's body or headers. A list of what is
 * allowed would be shorter, but webhooks are received on any port (5678, 8443, 30080 …), and it is the vetting of
 * addresses that keeps internal services out. Source: ours, after the ports that browsers refuse.
 */
const LINE_PROTOCOL_PORTS: ReadonlySet<number> = new Set([
  // echo, discard, daytime, quote, chargen; FTP, SSH, telnet, SMTP, WHOIS, DNS, gopher, finger
  7, 9, 13, 17, 19, 20, 21, 22, 23, 25, 43, 53, 70, 79,
  // POP, ident, NNTP, IMAP, LDAP; mail over TLS, rexec, rlogin, syslog or rsh, printer
  110, 113, 119, 143, 389, 465, 512, 513, 514, 515, 563, 587, 636, 873, 993, 995,
  // NATS (Egret's own log), Redis, IRC, memcached
  4222, 6379, 6667, 6697, 11_211,
]);

/**
 * Reads a policy.
 * @throws InvalidInput naming each block that cannot be read.
 */
export function outboundPolicy({ allow = [], allowPorts = null }: OutboundPolicyOptions): OutboundPolicy {
  return { allow: parseAddressBlocks(allow, ALLOW_SETTING), allowPorts };
}

/** Blocks of this machine itself. */
const LOOPBACK = ["127.0.0.0/8", "::1/128"];

/**
 * The policy of an installation: what its settings allow, and this machine itself where EGRET_ALLOW_HTTP says
 * that it serves development.
 * @throws InvalidInput naming each block that cannot be read.
 */
export function installationPolicy(settings: {
  allowHttp: boolean;
  outboundAllow: readonly string[];
}): OutboundPolicy {
  return outboundPolicy({ allow: [...settings.outboundAllow, ...(settings.allowHttp ? LOOPBACK : [])] });
}

/** What an address is when it may not be called, or null. */
export function addressRefusal(policy: OutboundPolicy, address: string): string | null {
  return forbiddenRange(address, policy.allow);
}

/** Whether a port may be called. */
export function isPortAllowed({ allowPorts }: OutboundPolicy, port: number): boolean {
  if (port === 0) return false;
  return allowPorts === null ? !LINE_PROTOCOL_PORTS.has(port) : allowPorts.includes(port);
}
