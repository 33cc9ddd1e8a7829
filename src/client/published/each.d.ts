/** Goes through a whole list, page by page. */
import type { CallOptions } from "./callOptions.js";
/** An answer with one page of a list. */
export interface ListAnswer<T> {
    data: T[];
    pagination: {
        next_cursor: string | null;
        next_page: number | null;
    };
}
/**
 * Every object of a list in its order, one page held at a time: `for await (const sync of each(client.listSyncs)) …`.
 * By cursor, so that objects that are made or deleted meanwhile neither shift the pages nor come twice.
 */
export declare function each<I, T>(list: (input: I, options?: CallOptions) => Promise<ListAnswer<T>>, input?: NonNullable<I>, options?: CallOptions): AsyncGenerator<T, void, undefined>;
