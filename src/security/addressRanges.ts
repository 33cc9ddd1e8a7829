/** Which addresses Egret does not call unless the operator lists them: everything that is no public host. */
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { type FieldProblem, InvalidInput } from "../domain/errors.ts";

// ipaddr.js reads addresses and matches prefixes; its own table is not the registries', so the tables are ours.
type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Addresses that share a prefix, as `10.0.0.0/8` says it. */
export type AddressBlock = readonly [address: Address, prefixBits: number];

/**
 * Special IPv4 addresses. Source: IANA IPv4 special-purpose registry, whole: also the rows that it calls globally
 * reachable, since none holds a web server and the anycast ones lead to the nearest helper of one's own network;
 * IANA IPv4 address space registry (multicast); ours (a cloud's platform).
 */
const SPECIAL_V4 = blocks([
  ["0.0.0.0/8", "an address of this network"],
  ["10.0.0.0/8", "a private address"],
  ["100.64.0.0/10", "an address shared behind a carrier"],
  ["127.0.0.0/8", "a loopback address"],
  ["169.254.0.0/16", "a link-local address"],
  ["172.16.0.0/12", "a private address"],
  ["192.0.0.0/24", "a protocol address"],
  ["192.0.2.0/24", "a documentation address"],
  ["192.31.196.0/24", "a name server sink"],
  ["192.52.193.0/24", "a multicast relay"],
  ["192.88.99.0/24", "a 6to4 relay"],
  ["192.168.0.0/16", "a private address"],
  ["192.175.48.0/24", "a name server sink"],
  ["198.18.0.0/15", "a benchmarking address"],
  ["198.51.100.0/24", "a documentation address"],
  ["203.0.113.0/24", "a documentation address"],
  ["224.0.0.0/4", "a multicast address"],
  ["240.0.0.0/4", "a reserved address"],
  // Azure answers its virtual machines here; it looks public. The other clouds' addresses lie in ranges above and below.
  ["168.63.129.16/32", "a cloud platform's own address"],
]);

/**
 * Special IPv6 addresses. Source: IANA IPv6 special-purpose registry, whole but for the two that hold an IPv4 address to
 * be vetted in their stead (::ffff:0:0/96, 64:ff9b::/96); IANA IPv6 address space registry. 6to4 and Teredo are refused
 * whatever they wrap: nobody serves from them, and their relays are anybody's machines.
 */
const SPECIAL_V6 = blocks([
  ["::/128", "the unspecified address"],
  ["::1/128", "a loopback address"],
  ["64:ff9b:1::/48", "a local translation of an IPv4 address"],
  ["100::/64", "a discarding address"],
  ["100:0:0:1::/64", "a dummy address"],
  ["2001::/32", "a Teredo tunnel"],
  ["2001::/23", "a protocol address"],
  ["2001:db8::/32", "a documentation address"],
  ["2002::/16", "a 6to4 tunnel"],
  ["2620:4f:8000::/48", "a name server sink"],
  ["3fff::/20", "a documentation address"],
  ["5f00::/16", "a routing segment"],
  ["fc00::/7", "a private address"],
  ["fe80::/10", "a link-local address"],
  ["fec0::/10", "a private address"],
  ["ff00::/8", "a multicast address"],
]);

/** All that IANA has given out as global unicast. */
const GLOBAL_V6 = ipaddr.parseCIDR("2000::/3");

/** The well-known prefix that translates to IPv4. Source: RFC 6052. */
const NAT64 = ipaddr.parseCIDR("64:ff9b::/96");

/**
 * What an address is when Egret does not call it ("a private address"), or null when it may be called. What `allowed`
 * lists may be called; an IPv4 address inside an IPv6 one (mapped, NAT64, ISATAP) is judged as itself. A network's own
 * NAT64 prefix looks like any other and cannot be known here. Text that is no address is refused.
 */
export function forbiddenRange(text: string, allowed: readonly AddressBlock[]): string | null {
  // The interface behind % (as in fe80::1%eth0) says where to send, not to whom.
  const [bare = ""] = text.split("%", 1);
  if (isIP(bare) === 0) return "not an address";
  return judge(ipaddr.process(bare), allowed);
}

function judge(address: Address, allowed: readonly AddressBlock[]): string | null {
  if (allowed.some((block) => isIn(address, block))) return null;
  if (address.kind() === "ipv4") return labelIn(SPECIAL_V4, address);
  const bytes = address.toByteArray();
  if (isIn(address, NAT64)) return judge(v4At(bytes, 12), allowed);
  const label = labelIn(SPECIAL_V6, address);
  if (label !== null) return label;
  if (!isIn(address, GLOBAL_V6)) return "a reserved address";
  return isIsatap(bytes) ? judge(v4At(bytes, 12), allowed) : null;
}

/** Interface part 0000:5efe or 0200:5efe, then an IPv4 address that a router may tunnel to. Source: RFC 5214. */
function isIsatap(bytes: readonly number[]): boolean {
  return ((bytes[8] ?? 0) & 0xfc) === 0 && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe;
}

function v4At(bytes: readonly number[], offset: number): Address {
  return ipaddr.fromByteArray(bytes.slice(offset, offset + 4));
}

function isIn(address: Address, [base, bits]: AddressBlock): boolean {
  return address.kind() === base.kind() && address.match(base, bits);
}

function labelIn(table: readonly (readonly [AddressBlock, string])[], address: Address): string | null {
  return table.find(([block]) => isIn(address, block))?.[1] ?? null;
}

function blocks(rows: readonly (readonly [string, string])[]): (readonly [AddressBlock, string])[] {
  return rows.map(([cidr, label]) => [ipaddr.parseCIDR(cidr), label]);
}

/**
 * Reads blocks as an operator writes them: `10.0.0.0/8`, `fd00::/8`, or a single address; `field` is where they stand.
 * @throws InvalidInput naming each text that is no block, and its fix.
 */
export function parseAddressBlocks(texts: readonly string[], field = "allow"): AddressBlock[] {
  const problems: FieldProblem[] = [];
  const parsed = texts.flatMap((text, at) => {
    const block = parseBlock(text.trim());
    if (typeof block !== "string") return [block];
    problems.push({ field: `${field}[${at}]`, message: block });
    return [];
  });
  if (problems.length > 0) {
    throw new InvalidInput(
      problems.map((problem) => `${problem.field}: ${problem.message}`).join("; "),
      problems,
    );
  }
  return parsed;
}

/** The block, or what is wrong with the text. */
function parseBlock(text: string): AddressBlock | string {
  const slash = text.indexOf("/");
  const base = slash < 0 ? text : text.slice(0, slash);
  const family = base.includes("%") ? 0 : isIP(base);
  if (family === 0) return `"${text}" is no address block; write one such as 10.0.0.0/8 or fd00::/8`;
  const width = family === 4 ? 32 : 128;
  const digits = slash < 0 ? String(width) : text.slice(slash + 1);
  const bits = Number(digits);
  if (!/^\d{1,3}$/.test(digits) || bits > width)
    return `"${text}" needs a prefix of 0 to ${width} after its slash`;
  const address = ipaddr.parse(base);
  const first = firstOf(address, bits);
  // Read as its prefix alone, a slip such as 10.1.2.3/8 would open far more than was meant.
  if (first.toString() !== address.toString()) {
    return `"${text}" names one address and a whole block; write ${first.toString()}/${bits} or ${base}/${width}`;
  }
  // A mapped address is its IPv4 address to the socket, so a mapped block is its IPv4 block.
  const isMapped = address.kind() === "ipv6" && (address as ipaddr.IPv6).isIPv4MappedAddress() && bits >= 96;
  return isMapped ? [(address as ipaddr.IPv6).toIPv4Address(), bits - 96] : [address, bits];
}

/** The address with all bits after the prefix cleared. */
function firstOf(address: Address, prefixBits: number): Address {
  const bytes = address.toByteArray().map((byte, at) => {
    const kept = Math.min(8, Math.max(0, prefixBits - at * 8));
    return byte & (0xff << (8 - kept)) & 0xff;
  });
  return ipaddr.fromByteArray(bytes);
}
