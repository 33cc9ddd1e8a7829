import { createPrivateKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import { endpointTlsProblems, readCertificates } from "../../src/security/endpointTls.ts";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";

const authority = makeAuthority("A partner's authority");
const { cert, key } = makeCertificate({ names: ["egret.example"], by: authority });
const other = makeCertificate({ names: ["other.example"], by: authority });
const locked = createPrivateKey(key)
  .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "hunter2" })
  .toString();
const NO_CERTIFICATE =
  "Is no certificate in PEM form; it begins with -----BEGIN CERTIFICATE----- and keeps its line breaks.";

describe("TLS settings of an endpoint", () => {
  test("are taken with an authority, a client certificate, or both, and with a whole chain", () => {
    expect(endpointTlsProblems({ ca: authority.cert })).toEqual([]);
    expect(endpointTlsProblems({ ca: `${other.cert}\n${authority.cert}` })).toEqual([]);
    expect(endpointTlsProblems({ client_certificate: cert + authority.cert, client_key: key })).toEqual([]);
  });

  test.each([
    ["text", "hunter2"],
    ["a key", key],
    ["one line", authority.cert.replaceAll("\n", "\\n")],
    ["a certificate beside a key", authority.cert + key],
    ["a damaged one", authority.cert.replace("MII", "AAA").replace("MIIB", "AAAA").slice(0, 200)],
  ])("are refused with an authority that is %s", (_what, ca) => {
    expect(endpointTlsProblems({ ca })).toEqual([{ field: "ca", message: NO_CERTIFICATE }]);
  });

  test("need certificate and key together", () => {
    expect(endpointTlsProblems({ client_certificate: cert })).toEqual([
      { field: "client_certificate", message: "A client certificate needs its `client_key`." },
    ]);
    expect(endpointTlsProblems({ client_key: key })).toEqual([
      { field: "client_key", message: "A client key needs its `client_certificate`." },
    ]);
  });

  test("need a key that fits the first certificate", () => {
    const message =
      "The key does not belong to the first certificate in `client_certificate`; put the client's own certificate first.";
    const problem = { field: "client_key", message };
    expect(endpointTlsProblems({ client_certificate: cert, client_key: other.key })).toEqual([problem]);
    expect(endpointTlsProblems({ client_certificate: authority.cert + cert, client_key: key })).toEqual([
      problem,
    ]);
  });

  test("need a key without a passphrase, and say how to take it off", () => {
    const [problem] = endpointTlsProblems({ client_certificate: cert, client_key: locked });
    expect(problem).toEqual({ field: "client_key", message: expect.stringContaining("openssl pkey") });
  });

  test("never show the key that they refuse", () => {
    const damaged = key.replace(/\n./, "\n!");
    for (const client_key of [damaged, "hunter2", cert]) {
      const problems = endpointTlsProblems({ client_certificate: cert, client_key });
      expect(problems).toEqual([
        { field: "client_key", message: expect.stringMatching(/^Is no private key in PEM form/) },
      ]);
    }
  });
});

describe("certificates of a PEM text", () => {
  test("are read with whatever stands between them", () => {
    expect(readCertificates(`# one\n${cert}\n# two\n${authority.cert}`)).toHaveLength(2);
  });
});
