/** What a change of a sync sends again is told by the API: before it is made, and with it. */
import { beforeAll, describe, expect, test } from "vitest";
import { endOf, openSyncScene } from "./syncScene.ts";

const ROWS = 1_234;
const scene = await openSyncScene();
const { api } = scene;

beforeAll(async () => {
  await scene.warehouse(`insert into people select n, 'Person ' || n, 'p' || n, 'trial', '2026-02-03T00:00:00Z'
    from generate_series(4, ${ROWS}) n`);
});

/** A sync that has run. */
async function ran(changes: object = {}): Promise<number> {
  const id = await scene.make(changes);
  const { body } = await api.post(`/syncs/${id}/trigger`);
  expect(await endOf(api, body.data.sync_run_id)).toMatchObject({ status: "completed" });
  return id;
}

const withEmail = () => {
  const { mappings } = scene.body() as { mappings: object[] };
  return { mappings: [...mappings, { from: { type: "column", data: "email" }, to: "email" }] };
};

describe("a change that sends rows again", () => {
  test("is told with their number and changes nothing where it is only checked", async () => {
    const id = await ran();
    const before = await api.get(`/syncs/${id}`);
    const checked = await api.patch(`/syncs/${id}`, { ...withEmail(), label: "Other", validate_only: true });
    expect(checked.status).toBe(200);
    expect(checked.body).toEqual({
      status: "success",
      data: before.body.data,
      resend: { reasons: ["mapping_added"], rows: ROWS, unknown: null },
    });
    const after = await api.get(`/syncs/${id}`);
    expect(after.body).toEqual(before.body);
    expect([checked, after].map(({ headers }) => headers.get("ETag"))).toEqual(
      [before, before].map(({ headers }) => headers.get("ETag")),
    );
    const made = await api.patch(`/syncs/${id}`, withEmail());
    expect(made.body).toEqual({
      status: "updated",
      data: (await api.get(`/syncs/${id}`)).body.data,
      resend: checked.body.resend,
    });
    expect(made.body.data.mappings).toHaveLength(3);
  });

  test("of an append that begins anew sends all rows", async () => {
    const append = { operation: "append", historical_sync_operation: "backfill_all_records" };
    const id = await ran(append);
    const { mappings } = withEmail();
    const otherKey = [
      { from: { type: "column", data: "seen_at" }, to: "unique_id", is_primary_identifier: true },
      ...mappings.slice(1),
    ];
    const { body } = await api.patch(`/syncs/${id}`, { mappings: otherKey, validate_only: true });
    expect(body.resend).toMatchObject({ rows: null, unknown: null });
    expect(body.resend.reasons).toContain("sync_key_changed");
  });

  test("is refused by the same words where it is wrong", async () => {
    const id = await ran();
    const wrong = { mappings: [{ from: { type: "column", data: "gone" }, to: "unique_id" }] };
    const checked = await api.patch(`/syncs/${id}`, { ...wrong, validate_only: true });
    expect(checked.status).toBe(400);
    expect(checked.body).toEqual((await api.patch(`/syncs/${id}`, wrong)).body);
    expect((await api.patch(`/syncs/${id}`, { ...withEmail(), validate_only: "yes" })).status).toBe(400);
  });
});

describe("a change that sends nothing again", () => {
  test("is answered as ever", async () => {
    const id = await ran();
    const { body } = await api.patch(`/syncs/${id}`, { label: "Renamed", paused: true });
    expect(Object.keys(body)).toEqual(["status", "data"]);
    expect((await api.patch(`/syncs/${id}`, { paused: false, validate_only: true })).body).toMatchObject({
      status: "success",
      data: { paused: true },
      resend: null,
    });
  });

  test("is any of a sync that has not run", async () => {
    const id = await scene.make();
    const { body } = await api.patch(`/syncs/${id}`, withEmail());
    expect(Object.keys(body)).toEqual(["status", "data"]);
  });
});
