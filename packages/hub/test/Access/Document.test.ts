import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { document } from "./document.ts"

it("docs/permissions.md is the permission table", async () => {
  const file = fileURLToPath(new URL("../../../../docs/permissions.md", import.meta.url))
  await expect(document()).toMatchFileSnapshot(file)
})
