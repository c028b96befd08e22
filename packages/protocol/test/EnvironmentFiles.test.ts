import { expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as EnvironmentFiles from "../src/EnvironmentFiles.ts"

it.prop(
  "are read back as they were told, the first ones, within bounds",
  [FastCheck.array(FastCheck.string())],
  ([files]) => {
    const metadata = EnvironmentFiles.toMetadata(files)
    const read = EnvironmentFiles.fromMetadata(metadata)
    expect(read).toEqual(files.filter((file) => file !== "" && !/[\r\n]/.test(file)))
  }
)

it("are cut where there are too many, between two of them", () => {
  const files = Array.from({ length: 10_000 }, (_, n) => `src/a-file-of-some-length-${n}.ts`)
  const read = EnvironmentFiles.fromMetadata(EnvironmentFiles.toMetadata(files))
  expect(read.length).toBeGreaterThan(1000)
  expect(read).toEqual(files.slice(0, read.length))
})
