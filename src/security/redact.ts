/** Addresses as they may be shown: without passwords and without what stands in the query. */

/** True when an address carries a user name or a password. */
export function hasCredentials(url: string): boolean {
  const parsed = URL.parse(url);
  return parsed !== null && (parsed.username !== "" || parsed.password !== "");
}

/** The address without user, password, fragment or the values of its query; `(unreadable address)` when it is none. */
export function redactUrl(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null) return "(unreadable address)";
  const names = [...new Set(parsed.searchParams.keys())];
  const query = names.length === 0 ? "" : `?${names.map((name) => `${name}=***`).join("&")}`;
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}${query}`;
}
