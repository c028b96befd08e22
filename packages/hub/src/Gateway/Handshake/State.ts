/** Services of the handshake, and one `connect` that it judges. */
import type { ConnectParams, Role } from "@causeway/protocol/Gateway/Frames"
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { Role as AccessRole } from "@causeway/protocol/Permission"
import type { DeviceCodes } from "@causeway/store/DeviceCodes"
import type { DeviceRecord, Devices } from "@causeway/store/Devices"
import type { Organizations } from "@causeway/store/Organizations"
import type * as Redacted from "effect/Redacted"
import type { Attempts } from "../../Attempts.ts"
import type { Auditor } from "../../Auth/Auditor.ts"
import type { Auth } from "../../Auth/Auth.ts"
import type { GatewayConfig, GatewayConfiguration } from "../Config.ts"
import type { GatewayConnections } from "../Connections.ts"
import type { Origin } from "./Origin.ts"

export interface State {
  readonly auth: Auth["Type"]
  readonly devices: Devices["Type"]
  readonly codes: DeviceCodes["Type"]
  readonly organizations: Organizations["Type"]
  readonly configuration: GatewayConfiguration["Type"]
  readonly connections: GatewayConnections["Type"]
  readonly attempts: Attempts["Type"]
  readonly auditor: Auditor
  readonly publicOrigin: string | undefined
}

export interface Connect {
  readonly params: ConnectParams
  readonly role: Role
  readonly scopes: ReadonlyArray<string>
  readonly origin: Origin
  readonly challenge: string
  readonly config: GatewayConfig
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** A secret that opens. */
export interface Verified {
  readonly organizationId: OrganizationId
  readonly tokenId: string | undefined
  /** Bounds what may be asked for: an access token's role; `owner` where something else opened. */
  readonly access: AccessRole
  readonly method: "token" | "password" | "none" | "device-token"
}

/** Who connects, and what they may do. */
export interface Admitted {
  readonly params: ConnectParams
  readonly organizationId: OrganizationId
  readonly tokenId: string | undefined
  readonly role: Role
  readonly scopes: ReadonlyArray<string>
  readonly device: DeviceRecord | undefined
  readonly deviceToken: Redacted.Redacted | undefined
}
