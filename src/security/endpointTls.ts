/** What configuration asks of an endpoint's own TLS settings: PEM that can be read, and a key that fits its certificate. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { EndpointTls } from "../domain/configuration.ts";

/** One fault; `message` is one sentence with the fix and quotes nothing of the value. */
export interface TlsSettingProblem {
  field: keyof EndpointTls;
  message: string;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const NO_CERTIFICATE =
  "Is no certificate in PEM form; it begins with -----BEGIN CERTIFICATE----- and keeps its line breaks.";

/** The certificates of a PEM text, or null when there is none or one of them cannot be read. */
export function readCertificates(pem: string): X509Certificate[] | null {
  const texts = pem.match(CERTIFICATE) ?? [];
  const begun = pem.split("-----BEGIN ").length - 1;
  if (texts.length === 0 || texts.length !== begun) return null;
  try {
    return texts.map((text) => new X509Certificate(text));
  } catch {
    // OpenSSL's words help nobody, and may quote what stands in the text.
    return null;
  }
}

/** Everything that is wrong with an endpoint's TLS settings. */
export function endpointTlsProblems(tls: EndpointTls): TlsSettingProblem[] {
  const { ca, client_certificate: certificate, client_key: key } = tls;
  const problems: TlsSettingProblem[] = [];
  const problem = (field: keyof EndpointTls, message: string) => void problems.push({ field, message });
  if (ca !== undefined && readCertificates(ca) === null) problem("ca", NO_CERTIFICATE);
  if (certificate !== undefined && key === undefined) {
    problem("client_certificate", "A client certificate needs its `client_key`.");
  }
  if (key !== undefined && certificate === undefined) {
    problem("client_key", "A client key needs its `client_certificate`.");
  }
  const chain = certificate === undefined ? null : readCertificates(certificate);
  if (certificate !== undefined && chain === null) problem("client_certificate", NO_CERTIFICATE);
  if (key === undefined) return problems;
  const read = readKey(key);
  if (typeof read === "string") problem("client_key", read);
  else if (chain?.[0] !== undefined && !chain[0].checkPrivateKey(read)) {
    problem(
      "client_key",
      "The key does not belong to the first certificate in `client_certificate`; put the client's own certificate first.",
    );
  }
  return problems;
}

/** The key, or what is wrong with it. */
function readKey(pem: string): KeyObject | string {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/.test(pem)) {
    return "The key is locked by a passphrase; take it off with: openssl pkey -in client.key -out open.key";
  }
  try {
    return createPrivateKey(pem);
  } catch {
    return "Is no private key in PEM form; it begins with -----BEGIN PRIVATE KEY----- and keeps its line breaks.";
  }
}
