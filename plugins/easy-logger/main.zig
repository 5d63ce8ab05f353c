//! easy-logger: writes requests and responses, headers and bodies, into Envoy's log.

const std = @import("std");
const shared = @import("shared");
const Body = @import("body.zig").Body;
const oneLine = @import("body.zig").oneLine;

const abi = shared.abi;
const configuration = shared.configuration;
const headers = shared.headers;
const host = shared.host;
const memory = shared.memory;
const Allocator = std.mem.Allocator;

pub const panic = std.debug.no_panic;

const LoggerConfig = struct {
    request: bool = false,
    response: bool = false,
    responseStatusCodes: []const u8 = every_status,

    const every_status = "*";

    pub fn parse(arena: Allocator, value: std.json.Value) configuration.Problem!LoggerConfig {
        var config = try configuration.read(LoggerConfig, arena, value);
        if (config.responseStatusCodes.len == 0) config.responseStatusCodes = every_status;
        return config;
    }

    /// Looked for anywhere in the text, as the course's plugin does.
    fn namesStatus(self: *const LoggerConfig, status: []const u8) bool {
        return std.mem.eql(u8, self.responseStatusCodes, every_status) or
            std.mem.indexOf(u8, self.responseStatusCodes, status) != null;
    }
};

const EasyLogger = struct {
    pub const name = "easy-logger";
    pub const Config = LoggerConfig;
    pub const Stream = struct {
        /// The request's x-request-id, by which its entries are found; owned.
        request_id: []const u8 = "",
        request_body: Body = .{},
        response_body: Body = .{},
        logs_response_body: bool = false,

        pub fn deinit(self: *Stream) void {
            memory.heap.free(self.request_id);
            self.request_body.deinit();
            self.response_body.deinit();
        }
    };

    pub fn onRequestHeaders(config: *const Config, stream: *Stream) abi.Action {
        if (headers.request.get("x-request-id") catch null) |id| {
            stream.request_id = memory.heap.dupe(u8, id) catch "";
        }
        if (config.request) logHeaders("request headers", stream, headers.request) catch |problem| lost(problem);
        return .proceed;
    }

    pub fn onRequestBody(config: *const Config, stream: *Stream, chunk: shared.plugin.Chunk) void {
        if (!config.request) return;
        stream.request_body.add(chunk) catch |problem| lost(problem);
        if (chunk.end_of_stream) logBody("request body", stream, &stream.request_body) catch |problem| lost(problem);
    }

    pub fn onResponseHeaders(config: *const Config, stream: *Stream) abi.Action {
        headers.response.add("x-easy-logger", shared.version_stamp.version());
        if (!config.response) return .proceed;
        const status = headers.response.get(":status") catch null orelse "";
        stream.logs_response_body = config.namesStatus(status);
        logHeaders("response headers", stream, headers.response) catch |problem| lost(problem);
        return .proceed;
    }

    pub fn onResponseBody(_: *const Config, stream: *Stream, chunk: shared.plugin.Chunk) void {
        if (!stream.logs_response_body) return;
        stream.response_body.add(chunk) catch |problem| lost(problem);
        if (chunk.end_of_stream) logBody("response body", stream, &stream.response_body) catch |problem| lost(problem);
    }

    fn logHeaders(title: []const u8, stream: *const Stream, map: headers.Map) !void {
        var lines: std.ArrayList(u8) = .empty;
        for (try map.all()) |header| {
            for ([_][]const u8{ "\n", header.name, ":", try oneLine(header.value) }) |piece| {
                try lines.appendSlice(memory.call(), piece);
            }
        }
        entry(title, stream, lines.items);
    }

    fn logBody(title: []const u8, stream: *const Stream, body: *const Body) Allocator.Error!void {
        entry(title, stream, try std.mem.concat(memory.call(), u8, &.{ "\nbody:", try body.text() }));
    }

    fn entry(title: []const u8, stream: *const Stream, lines: []const u8) void {
        host.info(&.{ "[" ++ name ++ "] ", title, "\nrequestId:", stream.request_id, lines });
    }

    fn lost(problem: anyerror) void {
        host.warn(&.{ "an entry was lost: ", @errorName(problem) });
    }
};

comptime {
    shared.plugin.exportPlugin(EasyLogger);
}
