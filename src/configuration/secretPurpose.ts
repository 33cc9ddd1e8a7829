/** Which row a sealed secret belongs to: bound into the ciphertext, so that it opens nowhere else. */

/** Purpose under which the secret of a configured object is sealed; names never change, ids are not known before. */
export function secretPurpose(
  kind: "source" | "destination" | "webhook",
  workspaceId: number,
  name: string,
): string {
  return `${kind} ${name} of workspace ${workspaceId}`;
}

/** Purpose under which a webhook's TLS settings are sealed: they stand in the same row as its signing secret. */
export function tlsPurpose(workspaceId: number, name: string): string {
  return `tls of ${secretPurpose("webhook", workspaceId, name)}`;
}
