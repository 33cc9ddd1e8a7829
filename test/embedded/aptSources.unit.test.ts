import { describe, expect, test } from "vitest";
import { deriveSuite } from "../../src/embedded/aptSources.ts";

const newer = { suite: "forky", component: "main", codename: "bookworm" };

describe("deriving a newer suite from a machine's apt sources", () => {
  test("re-aims the distribution's deb822 stanza and keeps its mirror and key", () => {
    const text = [
      "Types: deb deb-src",
      "# a comment",
      "URIs: http://mirror.test/debian",
      "Suites: bookworm bookworm-updates",
      "Components: main contrib",
      "Signed-By: /usr/share/keyrings/archive.gpg",
      "",
      "Types: deb",
      "URIs: http://mirror.test/debian-security",
      "Suites: bookworm-security",
      "Components: main",
    ].join("\n");

    expect(deriveSuite([{ name: "debian.sources", text }], newer)).toEqual([
      "types: deb\nuris: http://mirror.test/debian\nsuites: forky\ncomponents: main\nsigned-by: /usr/share/keyrings/archive.gpg\n",
    ]);
  });

  test("keeps a key that stands within the stanza", () => {
    const text =
      "Types: deb\nURIs: http://m.test/d\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n";

    expect(deriveSuite([{ name: "a.sources", text }], newer)[0]).toContain(
      "signed-by: \n -----BEGIN\n .\n abc",
    );
  });

  test("re-aims a one-line entry with its options", () => {
    const text =
      "# deb http://old.test/debian bookworm main\ndeb [arch=amd64,arm64 signed-by=/k.gpg] http://mirror.test/debian bookworm main # ours\n";

    expect(deriveSuite([{ name: "sources.list", text }], newer)).toEqual([
      "types: deb\nuris: http://mirror.test/debian\nsuites: forky\ncomponents: main\narchitectures: amd64 arm64\nsigned-by: /k.gpg\n",
    ]);
  });

  test("leaves out other vendors, disabled stanzas and source-only stanzas", () => {
    const files = [
      { name: "vendor.list", text: "deb http://vendor.test/apt vendor-bookworm main\n" },
      { name: "docker.list", text: "deb http://docker.test/linux/debian bookworm stable\n" },
      {
        name: "off.sources",
        text: "Enabled: no\nTypes: deb\nURIs: http://m.test/d\nSuites: bookworm\nComponents: main\n",
      },
      {
        name: "src.sources",
        text: "Types: deb-src\nURIs: http://m.test/d\nSuites: bookworm\nComponents: main\n",
      },
    ];

    expect(deriveSuite(files, newer)).toEqual([]);
  });

  test("names an archive once, however many entries do", () => {
    const text = "deb http://m.test/debian bookworm main\ndeb http://m.test/debian bookworm main contrib\n";

    expect(deriveSuite([{ name: "sources.list", text }], newer)).toHaveLength(1);
  });
});
