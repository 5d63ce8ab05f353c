//! http-call: asks another service, by the name of its cluster, whether a request may go on.

const std = @import("std");
const shared = @import("shared");

const abi = shared.abi;
const configuration = shared.configuration;
const headers = shared.headers;
const host = shared.host;
const memory = shared.memory;

pub const panic = std.debug.no_panic;

const status_header = "x-http-call-status";
const no_answer = "none";

const Keys = struct {
    cluster: []const u8 = "",
    path: []const u8 = "/",
    authority: []const u8 = "http-call",
    timeout: u32 = 500,
    failure_mode_allow: bool = false,

    pub fn parse(arena: std.mem.Allocator, value: std.json.Value) configuration.Problem!Keys {
        const keys = try configuration.read(Keys, arena, value);
        if (keys.cluster.len == 0) return configuration.refuse(&.{"cluster is required: the name of an Envoy cluster"});
        if (keys.path.len == 0 or keys.path[0] != '/') return configuration.refuse(&.{"path has to begin with /"});
        if (keys.timeout == 0) return configuration.refuse(&.{"timeout has to be a number of milliseconds above 0"});
        return keys;
    }
};

const HttpCall = struct {
    pub const name = "http-call";
    pub const Config = Keys;
    pub const Stream = struct {
        /// The status of the answer, of which there are three digits; empty before one came.
        status: [3]u8 = undefined,
        length: usize = 0,

        fn told(self: *const Stream) []const u8 {
            return if (self.length == 0) no_answer else self.status[0..self.length];
        }
    };

    pub fn call(config: *const Config) ?u32 {
        return host.httpCall(config.cluster, &.{
            .{ .name = ":method", .value = "GET" },
            .{ .name = ":path", .value = config.path },
            .{ .name = ":authority", .value = config.authority },
        }, config.timeout) catch {
            host.warn(&.{ "no call could be made to the cluster ", config.cluster });
            return null;
        };
    }

    pub fn onHttpCallResponse(config: *const Config, stream: *Stream, answered: bool) void {
        const status = if (answered) headers.call_response.get(":status") catch null else null;
        const found = status orelse {
            host.warn(&.{ "the cluster ", config.cluster, " did not answer" });
            if (withoutAnswer(config, stream) == .proceed) host.continueRequest();
            return;
        };
        stream.length = @min(found.len, stream.status.len);
        @memcpy(stream.status[0..stream.length], found[0..stream.length]);
        if (found.len > 0 and found[0] == '2') {
            headers.request.replace(status_header, found);
            return host.continueRequest();
        }
        _ = refuse(403, stream, "The request was refused by the service that was asked.");
    }

    pub fn onResponseHeaders(_: *const Config, stream: *Stream) abi.Action {
        headers.response.replace(status_header, stream.told());
        return .proceed;
    }

    pub fn withoutAnswer(config: *const Config, stream: *Stream) abi.Action {
        if (config.failure_mode_allow) return .proceed;
        return refuse(503, stream, "The service that was to be asked did not answer.");
    }

    fn refuse(status_code: u32, stream: *const Stream, body: []const u8) abi.Action {
        const told = [_]headers.Header{.{ .name = status_header, .value = stream.told() }};
        return shared.plugin.answer(@This(), status_code, "http-call.refused", body, &told);
    }
};

comptime {
    shared.plugin.exportPlugin(HttpCall);
}
