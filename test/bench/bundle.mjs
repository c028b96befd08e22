// Bundles one source file as the apps are bundled, into a directory of its own.
import { mkdtemp, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Path of the bundle. It lies below node_modules, so that native modules are found. */
export const bundle = async (input) => {
  const directory = await mkdtemp(`${root}node_modules/.bench-`)
  const build = await rolldown({
    input: `${root}${input}`,
    platform: "node",
    external: ["better-sqlite3", "pg-native", "@parcel/watcher"],
    resolve: { conditionNames: ["source"] },
    checks: { circularDependency: false }
  })
  await build.write({ file: `${directory}/main.js`, format: "esm", codeSplitting: false })
  await build.close()
  await writeFile(`${directory}/package.json`, '{"type":"module"}\n')
  return { file: `${directory}/main.js`, directory }
}
