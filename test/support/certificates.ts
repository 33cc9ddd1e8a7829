/** X.509 certificates for TLS servers under test, made on the spot: valid, expired, for any name, signed by anyone. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** A certificate with its key; PEM. */
export interface Certificate {
  cert: string;
  key: string;
}

/** A certificate that can sign others. */
export interface Authority extends Certificate {
  name: string;
  privateKey: KeyObject;
}

/** What stands in a certificate. */
export interface CertificateOptions {
  /** Host names that it is for. */
  names: readonly string[];
  /** Who signs; self-signed when left out. */
  by?: Authority;
  notBefore?: Date;
  notAfter?: Date;
}

const DAY_MS = 86_400_000;
const ECDSA_SHA256 = "1.2.840.10045.4.3.2";
const COMMON_NAME = "2.5.4.3";
const ALT_NAMES = "2.5.29.17";
const BASIC_CONSTRAINTS = "2.5.29.19";

/** One value of ASN.1 in its DER form: tag, length, content. */
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const size = body.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const sequence = (...content: Uint8Array[]): Buffer => der(0x30, ...content);
const bitString = (bytes: Uint8Array): Buffer => der(0x03, Buffer.from([0]), bytes);

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = rest.flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return der(0x06, Buffer.from([first * 40 + second, ...bytes]));
}

/** GeneralizedTime, whole seconds. */
const time = (date: Date): Buffer =>
  der(0x18, Buffer.from(`${date.toISOString().replaceAll(/[-:T]|\.\d+Z$/g, "")}Z`));
const nameOf = (text: string): Buffer =>
  sequence(der(0x31, sequence(oid(COMMON_NAME), der(0x0c, Buffer.from(text)))));
const extension = (id: string, value: Uint8Array): Buffer => sequence(oid(id), der(0x04, value));

function make(subject: string, extensions: Buffer, options: Omit<CertificateOptions, "names">): Authority {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { by, notBefore = new Date(Date.now() - DAY_MS), notAfter = new Date(Date.now() + DAY_MS) } = options;
  const algorithm = sequence(oid(ECDSA_SHA256));
  const facts = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    nameOf(by?.name ?? subject),
    sequence(time(notBefore), time(notAfter)),
    nameOf(subject),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(extensions)),
  );
  const signature = sign("sha256", facts, by?.privateKey ?? privateKey);
  const whole = sequence(facts, algorithm, bitString(signature));
  const lines =
    whole
      .toString("base64")
      .match(/.{1,64}/g)
      ?.join("\n") ?? "";
  return {
    name: subject,
    privateKey,
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** An authority that signed itself. */
export function makeAuthority(name: string): Authority {
  const isAuthority = sequence(der(0x01, Buffer.from([0xff])));
  return make(name, extension(BASIC_CONSTRAINTS, isAuthority), {});
}

/** A server's certificate. */
export function makeCertificate({ names, ...options }: CertificateOptions): Certificate {
  const altNames = sequence(...names.map((name) => der(0x82, Buffer.from(name))));
  return make(names[0] ?? "server", extension(ALT_NAMES, altNames), options);
}
