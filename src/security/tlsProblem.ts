/** TLS failures in words that say who has to do what. */

const UNKNOWN_AUTHORITY =
  "the TLS certificate's authority is unknown, or the server leaves out part of its chain";
const UNTRUSTED_AUTHORITY = "the TLS certificate comes from an authority that is not trusted here";
const MISUSED = "a certificate of the TLS chain is used for what it is not meant for";
const CHAIN_TOO_LONG = "the TLS certificate's chain is too long";
const OTHER_HOST = "the TLS certificate belongs to another host name";

/** What Node says of a certificate that it does not accept. */
const CERTIFICATE_PROBLEMS: ReadonlyMap<string, string> = new Map([
  ["CERT_HAS_EXPIRED", "the TLS certificate has expired"],
  ["CERT_NOT_YET_VALID", "the TLS certificate is not valid yet"],
  ["CERT_REVOKED", "the TLS certificate was revoked"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", OTHER_HOST],
  ["HOSTNAME_MISMATCH", OTHER_HOST],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "the TLS certificate is self-signed"],
  ["SELF_SIGNED_CERT_IN_CHAIN", UNTRUSTED_AUTHORITY],
  ["CERT_UNTRUSTED", UNTRUSTED_AUTHORITY],
  ["CERT_REJECTED", UNTRUSTED_AUTHORITY],
  // An authority that nobody knows looks the same as a server that keeps the link to it to itself.
  ["UNABLE_TO_GET_ISSUER_CERT", UNKNOWN_AUTHORITY],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", UNKNOWN_AUTHORITY],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", UNKNOWN_AUTHORITY],
  ["CERT_SIGNATURE_FAILURE", "the TLS certificate's signature is wrong"],
  ["CERT_CHAIN_TOO_LONG", CHAIN_TOO_LONG],
  ["PATH_LENGTH_EXCEEDED", CHAIN_TOO_LONG],
  ["INVALID_CA", MISUSED],
  ["INVALID_PURPOSE", MISUSED],
]);

/** OpenSSL's own complaints, whose codes carry a version (SSLV3, TLSV13, SSL/TLS) that changes from release to release. */
const HANDSHAKE_PROBLEMS: readonly (readonly [RegExp, string])[] = [
  [
    /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/,
    "the port does not speak TLS; the address may need http://",
  ],
  [
    /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/,
    "the server speaks no TLS version that Egret speaks (1.2 and 1.3)",
  ],
  [/CERTIFICATE_REQUIRED/, "the server wants a client certificate"],
  [/UNRECOGNIZED_NAME/, "the server has no TLS certificate for the host name"],
  [
    /HANDSHAKE_FAILURE/,
    "the server refused the TLS handshake: no cipher in common, or it wants a client certificate",
  ],
];

/** What went wrong with TLS, in words without address or certificate, or null when it was something else. */
export function tlsProblem(thrown: unknown): string | null {
  if (!(thrown instanceof Error)) return null;
  const { code } = thrown as { code?: unknown };
  // By code only: messages quote the names in the certificate.
  const problem = typeof code === "string" ? problemOf(code) : null;
  return problem ?? (thrown.cause === undefined ? null : tlsProblem(thrown.cause));
}

function problemOf(code: string): string | null {
  const known = CERTIFICATE_PROBLEMS.get(code);
  if (known !== undefined) return known;
  if (!code.startsWith("ERR_SSL_") && !code.startsWith("ERR_TLS_")) return null;
  return (
    HANDSHAKE_PROBLEMS.find(([pattern]) => pattern.test(code))?.[1] ?? `the TLS handshake failed (${code})`
  );
}
