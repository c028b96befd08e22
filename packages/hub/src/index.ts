export * as Auth from "./Auth/Auth.ts"
export * as BareDoor from "./BareDoor.ts"
export * as Server from "./Server.ts"
