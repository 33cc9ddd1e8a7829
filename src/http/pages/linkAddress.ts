/** Where the page of a link is. */

/** Below the public address, before the token. */
export const LINK_BASE = "/connect";

/** The address of a link; of one without a token any more, a page that says so. It always has a query. */
export function linkAddress(publicUrl: string, token: string | null, id: number): string {
  return `${publicUrl}${LINK_BASE}/${token ?? "gone"}?link=${id}`;
}
