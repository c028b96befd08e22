/** The same for tests, whose transformer asks for the runtime of development. */
import type { ElementType, Key, ReactNode } from "react"
import { jsx, jsxs } from "./jsx-runtime.ts"

export { Fragment } from "react"
export type { JSX } from "react/jsx-runtime"

export const jsxDEV = (
  type: ElementType,
  props: { readonly [name: string]: unknown },
  key: Key | undefined,
  isStatic: boolean
): ReactNode => (isStatic ? jsxs : jsx)(type, props, key)
