/** Encrypted connections to a Postgres source: what sslmode asks for, and what is said when it cannot be had. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createSecureContext, TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { postgresSource } from "../../src/sources/postgres.ts";
import { type Certificate, makeAuthority, makeCertificate } from "../support/certificates.ts";
import { testDatabase } from "../support/namespace.ts";

/** The first words of a client that wants to encrypt: the length of the message, and a code. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const WARM_UP = { type: "model", modelId: 1, name: "m", query: "select 1 as a" } as const;

const plain = await testDatabase();
const authority = makeAuthority("Egret test authority");
const names = ["localhost"];
let folder: string;
let rootCert: string;
/** Closed after the last test. */
const fronts: (() => void)[] = [];

/** Stands before the Postgres that speaks no TLS, and speaks it with that certificate; whoever does not is turned away. */
async function encrypted({ cert, key }: Certificate): Promise<string> {
  const target = new URL(plain.url);
  const secureContext = createSecureContext({ cert, key });
  const sockets = new Set<Socket>();
  const front = createServer((client) => {
    sockets.add(client.on("error", () => undefined));
    client.once("data", (first) => {
      if (!SSL_REQUEST.equals(first)) {
        client.destroy();
        return;
      }
      client.write("S");
      const secure = new TLSSocket(client, { isServer: true, secureContext });
      const server = dial({ host: target.hostname, port: Number(target.port) });
      const end = (): void => {
        secure.destroy();
        server.destroy();
      };
      for (const socket of [secure, server]) socket.on("error", () => undefined).once("close", end);
      secure.pipe(server).pipe(secure);
    });
  });
  await new Promise<void>((resolve) => front.listen(0, "localhost", resolve));
  fronts.push(() => {
    for (const socket of sockets) socket.destroy();
    front.close();
  });
  const url = new URL(plain.url);
  url.hostname = "localhost";
  url.port = String((front.address() as AddressInfo).port);
  return url.href;
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "egret-tls-"));
  rootCert = path.join(folder, "root.pem");
  await writeFile(rootCert, authority.cert);
});
afterAll(async () => {
  for (const close of fronts) close();
  await rm(folder, { recursive: true });
});

const describeAt = (url: string) =>
  postgresSource.describeObject({ id: 1, workspaceId: 1, name: "warehouse", type: "postgres", url }, WARM_UP);
const REACHED = [{ name: "a", type: "integer" }];

describe("a source that speaks TLS", () => {
  test.each(["prefer", "require", "verify-ca", "verify-full"])(
    "is read with sslmode=%s when its certificate is right, without a warning",
    async (mode) => {
      const warned = vi.spyOn(process, "emitWarning");
      const url = await encrypted(makeCertificate({ names, by: authority }));
      expect(await describeAt(`${url}?sslmode=${mode}&sslrootcert=${rootCert}`)).toEqual(REACHED);
      expect(warned).not.toHaveBeenCalled();
      warned.mockRestore();
    },
  );

  test("is read to its end, and left in the middle, through TLS", async () => {
    const url = await encrypted(makeCertificate({ names, by: authority }));
    const source = { id: 1, workspaceId: 1, name: "warehouse", type: "postgres" as const };
    const snapshot = await postgresSource.openSnapshot({
      ...source,
      url: `${url}?sslmode=verify-full&sslrootcert=${rootCert}`,
    });
    const bytesOf = async (rows: number) => {
      let bytes = 0;
      const sql = `select repeat('x', 1000) from generate_series(1, ${rows})`;
      for await (const chunk of await snapshot.copyOut(sql)) bytes += (chunk as Buffer).length;
      return bytes;
    };
    // Header, trailer, and for each row its fields' number, a length and a thousand bytes.
    expect(await bytesOf(5_000)).toBe(19 + 2 + 5_000 * (2 + 4 + 1_000));
    const broken = await snapshot.copyOut("select repeat('x', 1000) from generate_series(1, 10000000)");
    broken.on("error", () => undefined).resume();
    await snapshot.close();
  });

  test("is read with sslmode=no-verify whatever its certificate", async () => {
    const url = await encrypted(makeCertificate({ names: ["elsewhere.example"] }));
    expect(await describeAt(`${url}?sslmode=no-verify`)).toEqual(REACHED);
  });

  test.each<[string, Certificate, string]>([
    ["self-signed", makeCertificate({ names }), "the TLS certificate is self-signed"],
    [
      "another host's",
      makeCertificate({ names: ["elsewhere.example"], by: authority }),
      "the TLS certificate belongs to another host name",
    ],
  ])("is not read with sslmode=require when its certificate is %s", async (_what, certificate, words) => {
    const url = await encrypted(certificate);
    await expect(describeAt(`${url}?sslmode=require&sslrootcert=${rootCert}`)).rejects.toMatchObject({
      runCode: "SOURCE_CONNECTION_FAILED",
      message: `Source warehouse could not be reached: ${words}`,
      detail: expect.stringContaining("sslmode") as string,
    });
  });

  test("is not read in the clear", async () => {
    const url = await encrypted(makeCertificate({ names, by: authority }));
    await expect(describeAt(url)).rejects.toMatchObject({ runCode: "SOURCE_CONNECTION_FAILED" });
  });
});

describe("a source that speaks no TLS", () => {
  test.each(["prefer", "require"])("is not read with sslmode=%s, and the words say why", async (mode) => {
    await expect(describeAt(`${plain.url}?sslmode=${mode}`)).rejects.toMatchObject({
      runCode: "SOURCE_CONNECTION_FAILED",
      message: "Source warehouse could not be reached: the server offers no TLS",
      detail: expect.stringContaining("sslmode") as string,
    });
  });
});

test("a certificate file that is not there is named as such, without the address", async () => {
  await expect(describeAt(`${plain.url}?sslrootcert=${folder}/none.pem`)).rejects.toMatchObject({
    runCode: "SOURCE_CONNECTION_FAILED",
    message: "Source warehouse names a certificate file that cannot be read (ENOENT)",
  });
});
