import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

/** Files that take long, the longest first: started last, each would hold up the end of the run. */
const long = ["test/faults/", "test/e2e/", "packages/hub/", "packages/runner/", "packages/bridge/"]

const rank = ({ moduleId }: TestSpecification): number => {
  const at = long.findIndex((part) => moduleId.includes(`/${part}`))
  return at === -1 ? long.length : at
}

class LongFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    // Within a rank as vitest has it: by the last run's time where it is known, else by size.
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

/** Factor of the generated cases of every property: `CAUSEWAY_TEST_RUNS=10 npx vitest run packages/store`. */
const runs = Number(process.env["CAUSEWAY_TEST_RUNS"] ?? 1)

export default defineConfig({
  // Tests run the sources: every workspace package names them under the "source" condition.
  ssr: { resolve: { conditions: ["source", "module", "node", "development|production"] } },
  plugins: [
    {
      name: "more-runs",
      transform: (code, id) =>
        runs === 1 || !id.endsWith(".test.ts")
          ? undefined
          : code.replace(/\bnumRuns: (\d+)/g, (_, count) => `numRuns: ${Number(count) * runs}`)
    }
  ],
  test: {
    include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts", "test/**/*.test.ts"],
    pool: "forks",
    // The files of a worker share its modules: loading them anew for each file took a fifth of the run.
    isolate: false,
    setupFiles: ["test/support/Setup.ts"],
    sequence: { sequencer: LongFirst },
    // Twice the cores of the machines of CI: end-to-end tests wait half of their time.
    maxWorkers: 4,
    // All from the beginning: tinypool ends idle workers in excess of these, and with one of them what it was just given.
    minWorkers: 4,
    // Generous: it is there for what hangs, not for what is slow on a busy machine.
    testTimeout: 180_000 * Math.max(1, runs)
  }
})
