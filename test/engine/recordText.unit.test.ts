import { describe, expect, test } from "vitest";
import type { RowRecord } from "../../src/engine/records.ts";
import { recordLine, recordsCsv } from "../../src/engine/recordText.ts";

describe("records as text", () => {
  const record: RowRecord = {
    identifier: '=1+1,"x"',
    record_payload: '{"unique_id":9007199254740993}',
    operation: "upsert",
    status: "rejected",
    status_message: "HTTP 422: a\nb",
    batch_started_at: new Date("2026-02-03T10:00:00.000Z"),
    batch_completed_at: null,
    sync_configuration_id: 8,
    sync_run_id: 7011,
    rows: 1,
    cursor: "b1.0",
  };

  test("a record is one line of JSON in which numbers keep their digits", () => {
    const line = recordLine(record);
    expect(line).not.toContain("\n");
    expect(line).toContain('"record_payload":{"unique_id":9007199254740993},');
    expect(JSON.parse(line)).toMatchObject({
      identifier: '=1+1,"x"',
      status: "rejected",
      batch_completed_at: null,
    });
    expect(
      Object.keys(JSON.parse(recordLine({ ...record, record_payload: null }, { withCursor: true }))),
    ).toEqual(Object.keys(record));
  });

  test("CSV is quoted where it must be, and safe for a spreadsheet where that is asked for", () => {
    const plain = recordsCsv([record], { hasHeader: true, escapesFormulas: false });
    expect(plain).toBe(
      "identifier,record_payload,operation,status,status_message,batch_started_at,batch_completed_at," +
        'sync_configuration_id,sync_run_id,rows\r\n"=1+1,""x""","{""unique_id"":9007199254740993}",upsert,rejected,' +
        '"HTTP 422: a\nb",2026-02-03T10:00:00.000Z,,8,7011,1\r\n',
    );
    const safe = recordsCsv([{ ...record, identifier: "-5" }], { hasHeader: false, escapesFormulas: true });
    expect(safe.startsWith("'-5,")).toBe(true);
    const empty = { ...record, identifier: "", record_payload: "a\rb", status_message: null };
    const text = recordsCsv([empty], { hasHeader: false, escapesFormulas: false });
    expect(text.startsWith('"","a\rb",upsert,rejected,,')).toBe(true);
    expect(recordsCsv([], { hasHeader: true, escapesFormulas: false })).toMatch(/^identifier,.*rows\r\n$/);
  });
});
