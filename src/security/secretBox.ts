/** Secrets at rest: AES-256-GCM under a key from the environment, with the key's id beside the ciphertext. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { InvalidInput } from "../domain/errors.ts";

const FORMAT = "v1";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Seals and opens secrets. `purpose` names the row: a ciphertext copied to another row does not open there. */
export interface SecretBox {
  /** Ciphertext as text: format, key id and base64url, joined by dots. */
  seal(purpose: string, plaintext: string): string;
  /**
   * The plaintext of what `seal` returned for the same purpose, under any of the keys.
   * @throws InvalidInput when the key is missing, or the text was altered or belongs to another row.
   */
  open(purpose: string, sealed: string): string;
}

interface Key {
  id: string;
  bytes: Buffer;
}

/**
 * A box over keys in base64, 32 bytes each: the first one writes, all of them read, so that a key can be replaced.
 * @throws InvalidInput when there is no key or one is not 32 bytes of base64; the key itself is never in the message.
 */
export function openSecretBox(keysBase64: readonly string[]): SecretBox {
  const keys = keysBase64.map(parseKey);
  const [writing] = keys;
  if (writing === undefined) {
    throw new InvalidInput("EGRET_SECRET_KEY is not set; make one with: openssl rand -base64 32");
  }
  return {
    seal: (purpose, plaintext) => seal(writing, purpose, plaintext),
    open: (purpose, sealed) => open(keys, purpose, sealed),
  };
}

/** Eight hex digits that tell keys apart without telling the key. */
function keyId(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 8);
}

function parseKey(text: string, index: number): Key {
  const bytes = Buffer.from(text, "base64");
  // Buffer.from skips what is not base64, so a damaged key would otherwise become another key.
  if (bytes.length !== KEY_BYTES || bytes.toString("base64").replace(/=+$/, "") !== text.replace(/=+$/, "")) {
    throw new InvalidInput(
      `key ${index + 1} of EGRET_SECRET_KEY is not ${KEY_BYTES} bytes of base64; make one with: openssl rand -base64 32`,
    );
  }
  return { id: keyId(bytes), bytes };
}

function seal(key: Key, purpose: string, plaintext: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key.bytes, nonce);
  cipher.setAAD(associatedData(key.id, purpose));
  const sealed = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final()]);
  const packed = Buffer.concat([nonce, sealed, cipher.getAuthTag()]);
  return `${FORMAT}.${key.id}.${packed.toString("base64url")}`;
}

function open(keys: readonly Key[], purpose: string, sealed: string): string {
  const [format, id, body, ...rest] = sealed.split(".");
  const packed = Buffer.from(body ?? "", "base64url");
  if (format !== FORMAT || id === undefined || rest.length > 0 || packed.length < NONCE_BYTES + TAG_BYTES) {
    throw new InvalidInput(`the secret of ${purpose} is not in a form that this version of Egret writes`);
  }
  const key = keys.find((candidate) => candidate.id === id);
  if (key === undefined) {
    throw new InvalidInput(
      `the secret of ${purpose} was sealed with key ${id}, but EGRET_SECRET_KEY holds ${keys.map((k) => k.id).join(", ")}; ` +
        "add the old key behind the new one, separated by a comma",
    );
  }
  const decipher = createDecipheriv("aes-256-gcm", key.bytes, packed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(associatedData(id, purpose));
  decipher.setAuthTag(packed.subarray(-TAG_BYTES));
  try {
    const opened = decipher.update(packed.subarray(NONCE_BYTES, -TAG_BYTES));
    return Buffer.concat([opened, decipher.final()]).toString("utf8");
  } catch (error) {
    throw new InvalidInput(
      `the secret of ${purpose} does not open: it was altered, or it was copied from another row; set it again with egret apply`,
      [],
      { cause: error },
    );
  }
}

function associatedData(id: string, purpose: string): Buffer {
  return Buffer.from(`${FORMAT}.${id}.${purpose}`, "utf8");
}
