// Builds what `node apps/bridge` runs: one bundle for the program, one folder for the page. No type checking here
// (`npm run check:types` does that), so that an install stays short.
import { cp, mkdir, rm, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Native or optional modules, loaded at run time. */
const external = ["better-sqlite3", "pg-native", "@parcel/watcher"]

/** Ink's developer tools are not installed, and not loaded outside its own development. */
const withoutDeveloperTools = {
  name: "without-developer-tools",
  resolveId: (id) => (id === "react-devtools-core" ? "\0react-devtools-core" : null),
  load: (id) => (id === "\0react-devtools-core" ? "export default undefined" : null)
}

const bundle = async ({ input, file, platform, ...options }) => {
  const build = await rolldown({
    input: `${root}${input}`,
    platform,
    external: platform === "node" ? external : [],
    resolve: { conditionNames: ["source"] },
    checks: { circularDependency: false },
    ...options
  })
  await build.write({
    file: `${root}${file}`,
    format: "esm",
    sourcemap: true,
    codeSplitting: false,
    minify: platform === "browser"
  })
  await build.close()
}

/** The page: one script, and beside it what it loads when it is needed. */
const bundlePage = async () => {
  const build = await rolldown({
    input: { main: `${root}apps/web/src/main.tsx` },
    platform: "browser",
    resolve: { conditionNames: ["source", "import", "browser", "default"] },
    transform: { define: { "process.env.NODE_ENV": '"production"' } },
    // Marks of libraries for servers that render: nothing here.
    onwarn: (warning, warn) => {
      if (warning.code !== "MODULE_LEVEL_DIRECTIVE") warn(warning)
    },
    checks: { circularDependency: false }
  })
  await build.write({
    dir: `${root}apps/web/dist/page`,
    format: "esm",
    entryFileNames: "main.js",
    chunkFileNames: "chunks/[name]-[hash].js",
    sourcemap: true,
    minify: true
  })
  await build.close()
}

await rm(`${root}apps/bridge/dist/main.js`, { force: true })
await rm(`${root}apps/web/dist/page`, { recursive: true, force: true })
await mkdir(`${root}apps/web/dist/page`, { recursive: true })
await bundle({ input: "apps/bridge/src/main.ts", file: "apps/bridge/dist/main.js", platform: "node" })
await bundle({
  input: "apps/scripted-agent/src/main.ts",
  file: "apps/bridge/dist/scripted-agent.js",
  platform: "node"
})
await bundle({
  input: "apps/bridge/src/Attach/View.tsx",
  file: "apps/bridge/dist/attach.js",
  platform: "node",
  plugins: [withoutDeveloperTools],
  transform: { define: { "process.env.NODE_ENV": '"production"', "process.env.DEV": '"false"' } }
})
await bundlePage()
await cp(`${root}apps/web/static`, `${root}apps/web/dist/page`, { recursive: true })
await writeFile(`${root}apps/bridge/dist/package.json`, '{"type":"module"}\n')
