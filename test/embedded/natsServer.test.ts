import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import path from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "nats";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import {
  type EmbeddedNatsServer,
  type NatsServerOptions,
  startNatsServer,
} from "../../src/embedded/natsServer.ts";
import { isAlive } from "../../src/embedded/processes.ts";
import { temporaryFolder } from "./temporaryFolder.ts";

const log = { info() {}, warn() {} };
const { natsBinary: binary } = inject("servers");

describe("an embedded nats-server", () => {
  test("keeps its streams over a crash, on the same port", async () => {
    const server = await start({ storeDir: await temporaryFolder(), syncAlways: true });
    const before = await connectTo(server);
    await (await jetstreamManager(before)).streams.add({ name: "S", subjects: ["s.>"] });
    await jetstream(before).publish("s.one", "kept");
    await before.close();
    const { pid, port } = server;

    await server.kill9();
    expect(isAlive(pid)).toBe(false);
    await server.restart();

    expect(server.port).toBe(port);
    expect(server.pid).not.toBe(pid);
    const after = await connectTo(server);
    expect((await (await jetstreamManager(after)).streams.info("S")).state.messages).toBe(1);
    await after.close();
  });

  test("refuses a folder in which a server lives, and takes it once that one has stopped", async () => {
    const storeDir = await temporaryFolder();
    const first = await start({ storeDir });

    await expect(startNatsServer({ binary, storeDir, log })).rejects.toThrow(
      `the NATS folder ${storeDir} is in use by process ${process.pid}`,
    );
    await first.stop();
    await start({ storeDir });
  });

  test("listens on the loopback interface alone, and may flush every append", async () => {
    const storeDir = await temporaryFolder();
    await start({ storeDir, syncAlways: true });

    const config = JSON.parse(await readFile(path.join(storeDir, "nats-server.conf"), "utf8"));
    expect(config).toMatchObject({ host: "127.0.0.1", jetstream: { sync_interval: "always" } });
  });

  test.runIf(existsSync("/proc/self/environ"))(
    "has half of the processors, unless told otherwise",
    async () => {
      const seen = async () => {
        const server = await start({ storeDir: await temporaryFolder() });
        const environment = await readFile(`/proc/${server.pid}/environ`, "utf8");
        return environment.split("\0").find((entry) => entry.startsWith("GOMAXPROCS="));
      };
      vi.stubEnv("GOMAXPROCS", undefined);
      onTestFinished(() => void vi.unstubAllEnvs());
      expect(await seen()).toBe(`GOMAXPROCS=${Math.max(1, Math.floor(availableParallelism() / 2))}`);
      vi.stubEnv("GOMAXPROCS", "7");
      expect(await seen()).toBe("GOMAXPROCS=7");
    },
  );

  test("says in the server's words why it does not start", async () => {
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void squatter.close());
    const { port } = squatter.address() as { port: number };

    await expect(start({ storeDir: await temporaryFolder(), port })).rejects.toThrow(
      "address already in use",
    );
  });
});

async function start(options: Omit<NatsServerOptions, "binary" | "log">): Promise<EmbeddedNatsServer> {
  const server = await startNatsServer({ ...options, binary, log });
  onTestFinished(() => server.stop());
  return server;
}

async function connectTo({ url }: { url: string }): Promise<NatsConnection> {
  return await connect({ servers: url, reconnect: false });
}
