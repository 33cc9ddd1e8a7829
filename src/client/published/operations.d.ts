/** Generated from the OpenAPI document by `npm run client`: method and path of each operation. */
import type { Operations } from "./schema.js";
/** Methods and paths by the operations' names. */
export declare const OPERATIONS: Readonly<Record<keyof Operations, readonly [method: string, path: string]>>;
