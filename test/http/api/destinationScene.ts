/** An API beside a receiver, and how destinations are made in it. */
import { expect } from "vitest";
import { readDestination } from "../../../src/configuration/store.ts";
import { type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";
import { type Receiver, startReceiver } from "../../support/receiver.ts";

/** What tests of destinations share. */
export interface DestinationScene {
  egret: TestEgret;
  api: TestApi;
  /** Of another workspace. */
  other: TestApi;
  receiver: Receiver;
  /** An address at the receiver. */
  url(path?: string): string;
  /** Makes a destination over the API; its id. */
  make(credentials: object, kind?: { type?: string; name?: string }): Promise<number>;
  /** With its secrets, as a sync would use it. */
  stored(id: number): ReturnType<typeof readDestination>;
}

/** The body that makes a destination. */
export const bodyOf = (credentials: object, { type = "webhook", name = "Ops hook" } = {}) => ({
  type,
  service_connection: { type, name, credentials },
});

/** Opens it for the tests of one file; they close the receiver. */
export async function openDestinationScene(): Promise<DestinationScene> {
  const egret = await testEgret({ roles: ["api"], apiRequestsPerSecond: 0 });
  const receiver = await startReceiver();
  const api = await testApi(egret);
  const other = await testApi(egret, { workspaceName: "other" });
  const make: DestinationScene["make"] = async (credentials, kind = {}) => {
    const { status, body } = await api.post("/destinations", bodyOf(credentials, kind));
    expect(body).toEqual({ status: "created", data: { id: expect.any(Number) } });
    expect(status).toBe(201);
    return body.data.id;
  };
  return {
    egret,
    api,
    other,
    receiver,
    url: (path = "/rows") => `${receiver.url}${path}`,
    make,
    stored: (id) => readDestination(egret.services.database.db, egret.services.box, id),
  };
}
