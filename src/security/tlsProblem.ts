/** TLS failures in words that say who has to do what. */

const PROBLEMS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the TLS certificate has expired",
  CERT_NOT_YET_VALID: "the TLS certificate is not valid yet",
  CERT_REVOKED: "the TLS certificate was revoked",
  ERR_TLS_CERT_ALTNAME_INVALID: "the TLS certificate belongs to another host name",
  HOSTNAME_MISMATCH: "the TLS certificate belongs to another host name",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the TLS certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "the TLS certificate comes from an authority that is not trusted here",
  CERT_UNTRUSTED: "the TLS certificate comes from an authority that is not trusted here",
  // The same three for an authority that nobody knows and for a server that keeps the link to it to itself.
  UNABLE_TO_GET_ISSUER_CERT:
    "the TLS certificate's authority is unknown, or the server leaves out part of its chain",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "the TLS certificate's authority is unknown, or the server leaves out part of its chain",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "the TLS certificate's authority is unknown, or the server leaves out part of its chain",
  CERT_SIGNATURE_FAILURE: "the TLS certificate's signature is wrong",
  CERT_CHAIN_TOO_LONG: "the TLS certificate's chain is too long",
  PATH_LENGTH_EXCEEDED: "the TLS certificate's chain is too long",
  // OpenSSL says so of an authority that may not sign, too.
  INVALID_CA: "a certificate of the TLS chain is used for what it is not meant for",
  INVALID_PURPOSE: "a certificate of the TLS chain is used for what it is not meant for",
  ERR_SSL_WRONG_VERSION_NUMBER: "the port does not speak TLS; the address may need http://",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "the port does not speak TLS; the address may need http://",
  ERR_SSL_HTTP_REQUEST: "the port does not speak TLS; the address may need http://",
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: "the server speaks no TLS version that Egret speaks (1.2 and 1.3)",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "the server speaks no TLS version that Egret speaks (1.2 and 1.3)",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "the server wants a client certificate",
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE:
    "the TLS handshake was refused: no cipher in common, or the server wants a client certificate",
  ERR_SSL_TLSV1_UNRECOGNIZED_NAME: "the server knows no certificate for the host name",
};

/** What went wrong with TLS, in words without address or certificate, or null when it was something else. */
export function tlsProblem(thrown: unknown): string | null {
  if (!(thrown instanceof Error)) return null;
  const { code, library } = thrown as { code?: unknown; library?: unknown };
  if (typeof code === "string") {
    // By code only: messages quote the names in the certificate.
    const known = PROBLEMS[code];
    if (known !== undefined) return known;
    if (code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_"))
      return `the TLS handshake failed (${code})`;
    if (code === "EPROTO" && library === "SSL routines") return "the TLS handshake failed";
  }
  return thrown.cause === undefined ? null : tlsProblem(thrown.cause);
}
