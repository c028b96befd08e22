/** The page as the build makes it, in a directory of its own. */
import { cp, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { rolldown } from "rolldown"

const web = fileURLToPath(new URL("../../../apps/web", import.meta.url))

export const directory = Effect.acquireRelease(
  Effect.promise(async () => {
    const target = await mkdtemp(join(tmpdir(), "causeway-page-"))
    const build = await rolldown({
      input: { main: join(web, "src/main.tsx") },
      platform: "browser",
      resolve: { conditionNames: ["source", "import", "browser", "default"] },
      transform: { define: { "process.env.NODE_ENV": '"production"' } },
      onwarn: (warning, warn) => {
        // Marks of libraries for servers that render: nothing here.
        if (warning.code !== "MODULE_LEVEL_DIRECTIVE") warn(warning)
      }
    })
    await build.write({
      dir: target,
      format: "esm",
      entryFileNames: "main.js",
      chunkFileNames: "chunks/[name]-[hash].js",
      minify: true
    })
    await build.close()
    await cp(join(web, "static"), target, { recursive: true })
    return target
  }),
  (target) => Effect.promise(() => rm(target, { recursive: true, force: true }))
)
