//! key-auth: lets a request through that has exactly one API key, of a consumer who may, and says whose it is.

const std = @import("std");
const shared = @import("shared");
const configuration = @import("config.zig");

const headers = shared.headers;
const host = shared.host;
const memory = shared.memory;

pub const panic = std.debug.no_panic;

const consumer_header = "x-mse-consumer";
const challenge: headers.Header = .{ .name = "www-authenticate", .value = "Key realm=MSE Gateway" };

const KeyAuth = struct {
    pub const name = "key-auth";
    pub const Config = configuration.Config;
    pub const Stream = struct {};

    pub fn onRequestHeaders(config: *const Config, _: *Stream) shared.abi.Action {
        if (!config.applies) return .proceed;
        const found = credentials(config) catch |problem| {
            host.warn(&.{ "the request could not be read: ", @errorName(problem) });
            return refuse(401, "key-auth.no_key", "The API key could not be read.");
        };
        if (found.len > 1) return refuse(401, "key-auth.multi_key", "The request has more than one API key.");
        if (found.len == 0) return refuse(401, "key-auth.no_key", "The request has no API key.");

        const consumer = config.owner(found[0]) orelse {
            host.warn(&.{"the credential is nobody's"});
            return refuse(403, "key-auth.unauthorized", "The API key is not valid here.");
        };
        if (!config.lets(consumer)) {
            host.warn(&.{ "consumer ", consumer, " is not allowed" });
            return refuse(403, "key-auth.unauthorized", "The API key is not valid here.");
        }
        // Added to those that the request may have brought, as Higress' plugin does.
        headers.request.add(consumer_header, consumer);
        return .proceed;
    }

    fn refuse(status_code: u32, details: []const u8, body: []const u8) shared.abi.Action {
        return shared.plugin.answer(@This(), status_code, details, body, &.{challenge});
    }
};

/// Every key that the request has. Where headers are looked at, the query is not.
fn credentials(config: *const configuration.Config) ![]const []const u8 {
    var found: std.ArrayList([]const u8) = .empty;
    if (config.in_header) {
        for (config.keys) |key| {
            const value = try headers.request.get(key) orelse continue;
            if (value.len > 0) try found.append(memory.call(), value);
        }
    } else if (config.in_query) {
        const path = try headers.request.get(":path") orelse "";
        for (try shared.query.parse(memory.call(), path)) |parameter| {
            for (config.keys) |key| {
                if (std.mem.eql(u8, key, parameter.key)) try found.append(memory.call(), parameter.value);
            }
        }
    }
    return found.items;
}

comptime {
    shared.plugin.exportPlugin(KeyAuth);
}
