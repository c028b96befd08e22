import { defineConfig } from "vitest/config"

export default defineConfig({
  // Tests run the sources: every workspace package names them under the "source" condition.
  ssr: { resolve: { conditions: ["source", "module", "node", "development|production"] } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts", "test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    minWorkers: 1,
    // Generous: it is there for what hangs, not for what is slow on a busy machine.
    testTimeout: 180_000
  }
})
