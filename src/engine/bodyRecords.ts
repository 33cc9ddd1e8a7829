/** Finds the records in the body of a batch, so that one body can be cut into two that hold the same bytes. */

const [QUOTE, BACKSLASH, COMMA, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST] = Buffer.from('"\\,{}[]');

/** A body taken apart: what stands before the first record, the records, and what follows the last one. */
export interface BodyParts {
  opening: Buffer;
  records: Buffer[];
  closing: Buffer;
}

/**
 * Takes apart a body that is a list, or an object whose first member with a list in it is `data`. Null for a body of
 * another form. The parts are windows on the body: nothing is parsed, so every byte of a record stays what it is.
 */
export function cutRecords(body: Buffer): BodyParts | null {
  const start = body[0] === OPEN_LIST ? 1 : listOfData(body);
  if (start === null) return null;
  const records: Buffer[] = [];
  let from = start;
  let depth = 0;
  for (let at = start; at < body.length; at += 1) {
    const byte = body[at];
    if (byte === QUOTE) at = endOfText(body, at);
    else if (byte === OPEN || byte === OPEN_LIST) depth += 1;
    else if (depth > 0 && (byte === CLOSE || byte === CLOSE_LIST)) depth -= 1;
    else if (depth === 0 && (byte === COMMA || byte === CLOSE_LIST)) {
      if (at > from) records.push(body.subarray(from, at));
      from = at + 1;
      if (byte === CLOSE_LIST)
        return { opening: body.subarray(0, start), records, closing: body.subarray(at) };
    }
  }
  return null;
}

/** One body around some of the records of another. */
export function joinRecords({ opening, records, closing }: BodyParts): Buffer {
  const parts: Buffer[] = [opening];
  for (const [index, record] of records.entries()) {
    if (index > 0) parts.push(Buffer.from(","));
    parts.push(record);
  }
  return Buffer.concat([...parts, closing]);
}

const DATA = Buffer.from('"data":[');

/** Where the list of the member `data` begins. Names of members stand outside of texts, so texts are passed over. */
function listOfData(body: Buffer): number | null {
  if (body[0] !== OPEN) return null;
  for (let at = 1; at < body.length; at += 1) {
    if (body[at] !== QUOTE) continue;
    if (body.subarray(at, at + DATA.length).equals(DATA)) return at + DATA.length;
    at = endOfText(body, at);
  }
  return null;
}

/** Place of the quote that ends the text which begins at `start`. */
function endOfText(body: Buffer, start: number): number {
  let at = start + 1;
  while (at < body.length && body[at] !== QUOTE) at += body[at] === BACKSLASH ? 2 : 1;
  return at;
}
