/** What a call of the client can be told beside its input. */
export {};
