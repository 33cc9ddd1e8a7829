/** Generated from the OpenAPI document by `npm run client`: the objects of the API, and what each operation takes and answers. */
/* oxlint-disable max-lines -- generated */
export {};
