import { expect, test } from "vitest";
import { resendHtml } from "../../src/http/pages/syncResend.ts";

const digest = "d";

test.each([
  [{ rows: 12_400, reasons: [] }, "12,400 rows will be sent again."],
  [{ rows: 1, reasons: [] }, "1 row will be sent again."],
  [{ rows: null, reasons: [] }, "All rows will be sent again."],
  [{ unknown: "The source <a> is silent." }, "how many cannot be told now. The source &lt;a&gt; is silent."],
])("%o is told as: %s", async (resend, words) => {
  expect(String(await resendHtml({ digest, resend }))).toContain(words);
});
