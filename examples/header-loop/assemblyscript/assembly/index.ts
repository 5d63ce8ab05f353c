// Sets a header of the request, reads it and takes it away again, twenty times over. It is there to be measured.

export * from "@solo-io/proxy-runtime/proxy";
import {
  Context,
  FilterHeadersStatusValues,
  LogLevelValues,
  RootContext,
  log,
  registerRootContext,
  stream_context,
} from "@solo-io/proxy-runtime";

const rounds = 20;
const name = "x-header-loop";
const value = "there and back";

class Root extends RootContext {
  createContext(context_id: u32): Context {
    return new HeaderLoop(context_id, this);
  }
}

class HeaderLoop extends Context {
  constructor(context_id: u32, root: Root) {
    super(context_id, root);
  }

  onRequestHeaders(count: u32, end_of_stream: bool): FilterHeadersStatusValues {
    const headers = stream_context.headers.request;
    for (let round = 0; round < rounds; round++) {
      headers.replace(name, value);
      const found = headers.get(name);
      if (found != value) log(LogLevelValues.error, "the header reads " + found);
      headers.remove(name);
    }
    return FilterHeadersStatusValues.Continue;
  }

  onResponseHeaders(count: u32, end_of_stream: bool): FilterHeadersStatusValues {
    stream_context.headers.response.replace("x-header-loop-version", "assemblyscript");
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((context_id: u32) => new Root(context_id), "");
