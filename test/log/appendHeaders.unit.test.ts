/** The headers of an append as bytes: what the client would have made of them, and nothing that ends a line. */
import { headers } from "nats";
import { expect, test } from "vitest";
import { InvalidInput } from "../../src/domain/errors.ts";
import { AppendHeaders } from "../../src/log/appendHeaders.ts";

const expectation = {
  messageId: "delivery/7011-1-3:2:019fa0b1-0000-7000-8000-00000000000ä",
  lastSequence: 41,
  lastOf: "egret.events.1.delivery.webhook.3.7011-1-3.*",
};

test("headers of an append are the bytes that the client makes of the same", () => {
  const clients = headers();
  clients.append("Nats-Msg-Id", expectation.messageId);
  clients.append("Nats-Expected-Last-Subject-Sequence", "41");
  clients.append("Nats-Expected-Last-Subject-Sequence-Subject", expectation.lastOf);
  const theirs = (clients as unknown as { encode(): Uint8Array }).encode();
  expect(Buffer.from(new AppendHeaders(expectation).encode())).toEqual(Buffer.from(theirs));
});

test.each(["a\r\nNats-Msg-Id: b", "a\nb", "a\rb"])("an id that would end its line is refused: %j", (id) => {
  expect(() => new AppendHeaders({ ...expectation, messageId: id })).toThrow(InvalidInput);
  expect(() => new AppendHeaders({ ...expectation, lastOf: id })).toThrow(InvalidInput);
});
