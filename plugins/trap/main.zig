//! trap: crashes, when it is asked to, so that it can be seen what a gateway makes of a plugin that does.

const std = @import("std");
const shared = @import("shared");

const configuration = shared.configuration;
const headers = shared.headers;

pub const panic = std.debug.no_panic;

const TrapConfig = struct {
    path: []const u8,

    const Keys = struct { path: []const u8 = "/trap" };

    pub fn parse(arena: std.mem.Allocator, value: std.json.Value) configuration.Problem!TrapConfig {
        const keys = try configuration.read(Keys, arena, value);
        return .{ .path = keys.path };
    }
};

const Trap = struct {
    pub const name = "trap";
    pub const Config = TrapConfig;
    pub const Stream = struct {};

    /// The instruction `unreachable`: what a panic, a failed assertion or an exhausted memory ends with.
    pub fn onRequestHeaders(config: *const TrapConfig, _: *Stream) shared.abi.Action {
        const path = (headers.request.get(":path") catch null) orelse return .proceed;
        if (std.mem.eql(u8, path, config.path)) @trap();
        return .proceed;
    }
};

comptime {
    shared.plugin.exportPlugin(Trap);
}
