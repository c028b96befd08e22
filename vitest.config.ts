import { defineConfig } from "vitest/config"

export default defineConfig({
  // Tests run the sources: every workspace package names them under the "source" condition.
  ssr: { resolve: { conditions: ["source", "module", "node", "development|production"] } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts", "test/**/*.test.ts"],
    pool: "forks",
    // One more than the machines of CI have cores: end-to-end tests wait much of their time.
    maxWorkers: 3,
    minWorkers: 1,
    // Generous: it is there for what hangs, not for what is slow on a busy machine.
    testTimeout: 180_000
  }
})
