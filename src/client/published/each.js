const MOST_PER_PAGE = 100;
/**
 * Every object of a list in its order, one page held at a time: `for await (const sync of each(client.listSyncs)) …`.
 * By cursor, so that objects that are made or deleted meanwhile neither shift the pages nor come twice.
 */
export async function* each(list, input, options = {}) {
    const asked = input ?? {};
    const whole = { per_page: MOST_PER_PAGE, ...asked.query };
    let place = {};
    for (;;) {
        const { data, pagination } = await list({ ...asked, query: { ...whole, ...place } }, options);
        yield* data;
        const { next_cursor: cursor, next_page: page } = pagination;
        if (cursor !== null)
            place = { page: undefined, cursor };
        else if (page !== null)
            place = { page };
        else
            return;
    }
}
