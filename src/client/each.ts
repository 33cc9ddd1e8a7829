/** Goes through a whole list, page by page. */
import type { CallOptions } from "./callOptions.ts";

/** An answer with one page of a list. */
export interface ListAnswer<T> {
  data: T[];
  pagination: { next_cursor: string | null; next_page: number | null };
}

const MOST_PER_PAGE = 100;

/**
 * Every object of a list in its order, one page held at a time: `for await (const sync of each(client.listSyncs)) …`.
 * By cursor, so that objects that are made or deleted meanwhile neither shift the pages nor come twice.
 */
export async function* each<I, T>(
  list: (input: I, options?: CallOptions) => Promise<ListAnswer<T>>,
  input?: NonNullable<I>,
  options: CallOptions = {},
): AsyncGenerator<T, void, undefined> {
  const asked: { query?: object } = input ?? {};
  const whole = { per_page: MOST_PER_PAGE, ...asked.query };
  let place: object = {};
  for (;;) {
    const { data, pagination } = await list({ ...asked, query: { ...whole, ...place } } as I, options);
    yield* data;
    const { next_cursor: cursor, next_page: page } = pagination;
    if (cursor !== null) place = { page: undefined, cursor };
    else if (page !== null) place = { page };
    else return;
  }
}
