export * as Journal from "./Journal.ts"
export * as Lifecycle from "./Lifecycle.ts"
export * as Pointer from "./Pointer.ts"
