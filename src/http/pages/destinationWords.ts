/** Words of the forms for destinations: for people who have never seen an egret.yaml. */

/** By the id of the field. */
export const DESTINATION_WORDS: Readonly<
  Record<string, { label?: string; hint?: string; placeholder?: string }>
> = {
  url: {
    label: "Address",
    hint: "Where rows are sent: an https:// address.",
    placeholder: "https://api.example.com/rows",
  },
  path: {
    hint: "Behind the address. It may hold fields of the row, as in /contacts/{{ record['unique_id'] }}: then each row has a request of its own.",
    placeholder: "/contacts",
  },
  method: { label: "Method", hint: "For new and changed rows." },
  payload: { label: "Body" },
  auth_token: {
    label: "Token",
    hint: "Sent as it stands: write the word Bearer in front of it yourself, where it is needed.",
  },
  auth_token_header: { label: "Header for the token" },
  headers: { label: "Further headers", hint: "Their values are kept as secrets." },
  url_parameters: {
    label: "Query parameters",
    hint: "Added to each request. Their values are kept as secrets.",
  },
  signing_secret: {
    label: "Signing secret",
    hint: "Adds the header X-Signature, by which the receiver knows us.",
  },
  use_bulk_upload: { label: "Several rows in one request" },
  wrap_data: { label: "Rows inside an object that tells of the sync", hint: "Else the rows alone." },
  batch_size: { label: "Rows per request", hint: "At most 10000." },
  timeout_seconds: { label: "Time for a request", hint: "Seconds, at most 120." },
  parallel_requests: { label: "Requests at once" },
  rate_limit_per_second: { label: "Requests per second", hint: "Write none for no limit." },
  requests_per_second: { label: "Requests per second", hint: "Write none for no limit." },
  test_method: { label: "How the connection is tested" },
  delete_method: { label: "Method for deleted rows" },
  delete_path: { label: "Path for deleted rows", hint: "The same path when left empty." },
  "oauth.token_url": {
    hint: "Where access tokens are asked for, by client credentials.",
    placeholder: "https://auth.example.com/oauth/token",
  },
  "oauth.client_id": {},
  "oauth.client_secret": {},
  "oauth.scopes": { hint: "With spaces between." },
};

/** By the id of a choice and its value; those that are not here stand for themselves. */
export const CHOICE_WORDS: Readonly<Record<string, string>> = {
  "payload.columns": "Every field, as JSON",
  "payload.form": "Every field, URL-encoded",
  "payload.empty": "Nothing",
  "test_method.post": "A POST without rows",
  "test_method.head_then_post": "HEAD, and a POST where that fails",
};
