//! custom-response: answers requests by itself, or puts a response of its own in place of one with a certain status.

const std = @import("std");
const shared = @import("shared");
const configuration = @import("config.zig");

const headers = shared.headers;
const host = shared.host;

pub const panic = std.debug.no_panic;

const CustomResponse = struct {
    pub const name = "custom-response";
    pub const Config = configuration.Config;
    pub const Stream = struct {};

    pub fn onRequestHeaders(config: *const Config, _: *Stream) shared.abi.Action {
        return answer(if (config.always) |*response| response else return .proceed);
    }

    pub fn onResponseHeaders(config: *const Config, _: *Stream) shared.abi.Action {
        const status = headers.response.get(":status") catch null orelse {
            host.warn(&.{"the response has no status and stays as it is"});
            return .proceed;
        };
        return answer(config.insteadOf(status) orelse return .proceed);
    }

    fn answer(response: *const configuration.Response) shared.abi.Action {
        return shared.plugin.answer(@This(), response.status_code, name, response.body, response.headers);
    }
};

comptime {
    shared.plugin.exportPlugin(CustomResponse);
}
