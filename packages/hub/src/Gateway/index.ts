export * as Config from "./Config.ts"
export * as Gateway from "./Gateway.ts"
export * as Layer from "./Layer.ts"
