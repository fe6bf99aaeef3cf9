export { Answer, Batch, type Step } from './batch';
export { ClientConnection, type Sink } from './client-connection';
export { ClientStream } from './client-stream';
export { Clients } from './clients';
export type {
  BatchOwner,
  Client,
  Context,
  Ended,
  OpenSession,
  Outcome,
  Portal,
  Profile,
  SegmentEnd,
  Statement,
} from './contract';
export { errorResponse, noticeResponse, readFields, type ErrorFields } from './error-response';
export { FrameCutter } from './frame-cutter';
export * as frames from './frames';
export { OwnRoute } from './own-route';
export { Refusal } from './refusal';
export { parameters, parameterTypes, type BindRequest, type Request } from './request';
export type { Entrance, Route } from './route';
export { Segment } from './segment';
export { ServerConnection } from './server-connection';
export { ServerParameters } from './server-parameters';
export { cancelRequest } from './startup';
export { SharedNames, type StatementView } from './shared-names';
