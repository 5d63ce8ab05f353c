//! One configuration of request-block: what blocks a request, and how the refusal looks.
//!
//! Keys and their meaning are those of Higress' plugin of the same name.

const std = @import("std");
const shared = @import("shared");

const host = shared.host;
const Allocator = std.mem.Allocator;
const Value = std.json.Value;

pub const Config = struct {
    block_urls: []const []const u8 = &.{},
    block_exact_urls: []const []const u8 = &.{},
    block_headers: []const []const u8 = &.{},
    case_sensitive: bool = false,
    blocked_code: u32 = default_blocked_code,
    blocked_message: []const u8 = "",

    pub const default_blocked_code = 403;

    const Problem = error{ InvalidConfiguration, OutOfMemory };
    const Key = enum {
        block_urls,
        block_exact_urls,
        block_headers,
        case_sensitive,
        blocked_code,
        blocked_message,
        block_bodies,
        block_regexp_urls,
    };

    /// Unknown keys are logged and ignored; a value of the wrong type, or nothing that could block, is refused.
    pub fn parse(arena: Allocator, value: Value) Problem!Config {
        var config: Config = .{};
        switch (value) {
            .object => |object| {
                for (object.keys(), object.values()) |key, item| try config.set(arena, key, item);
            },
            .null => {},
            else => return refuse("the configuration has to be an object, not {s}", .{typeName(value)}),
        }
        if (config.block_urls.len == 0 and config.block_headers.len == 0) {
            return refuse("there is no block rule: block_urls or block_headers has to name something " ++
                "(block_exact_urls alone is not enough)", .{});
        }
        if (config.block_urls.len == 0 and config.block_exact_urls.len > 0) {
            host.warn("block_exact_urls has no effect without block_urls", .{});
        }
        if (!config.case_sensitive) {
            config.block_urls = try lowered(arena, config.block_urls);
            config.block_exact_urls = try lowered(arena, config.block_exact_urls);
            config.block_headers = try lowered(arena, config.block_headers);
        }
        return config;
    }

    fn set(self: *Config, arena: Allocator, key: []const u8, value: Value) Problem!void {
        if (shared.rule_matcher.isControlKey(key)) return;
        const known = std.meta.stringToEnum(Key, key) orelse {
            host.warn("unknown key {s} is ignored", .{key});
            return;
        };
        if (value == .null) return;
        switch (known) {
            .block_urls => self.block_urls = try stringList(arena, key, value),
            .block_exact_urls => self.block_exact_urls = try stringList(arena, key, value),
            .block_headers => self.block_headers = try stringList(arena, key, value),
            .case_sensitive => self.case_sensitive = switch (value) {
                .bool => |truth| truth,
                else => return wrongType(key, "a boolean", value),
            },
            .blocked_code => self.blocked_code = try statusCode(key, value),
            .blocked_message => self.blocked_message = switch (value) {
                .string => |text| text,
                else => return wrongType(key, "a string", value),
            },
            .block_bodies, .block_regexp_urls => host.warn("{s} is not supported by this build and is ignored", .{key}),
        }
    }
};

fn refuse(comptime format: []const u8, arguments: anytype) error{InvalidConfiguration} {
    host.err(format, arguments);
    return error.InvalidConfiguration;
}

fn wrongType(key: []const u8, expected: []const u8, value: Value) error{InvalidConfiguration} {
    return refuse("{s} has to be {s}, not {s}", .{ key, expected, typeName(value) });
}

fn typeName(value: Value) []const u8 {
    return switch (value) {
        .null => "null",
        .bool => "a boolean",
        .integer, .float, .number_string => "a number",
        .string => "a string",
        .array => "a list",
        .object => "an object",
    };
}

/// Empty strings would match everything and are dropped.
fn stringList(arena: Allocator, key: []const u8, value: Value) error{ InvalidConfiguration, OutOfMemory }![]const []const u8 {
    const items = switch (value) {
        .array => |array| array.items,
        else => return wrongType(key, "a list of strings", value),
    };
    var texts: std.ArrayList([]const u8) = .empty;
    for (items) |item| {
        switch (item) {
            .string => |text| if (text.len > 0) try texts.append(arena, text),
            else => return wrongType(key, "a list of strings", item),
        }
    }
    return texts.items;
}

/// A number outside 101 … 599 stands for the default, as in Higress' plugin.
fn statusCode(key: []const u8, value: Value) error{InvalidConfiguration}!u32 {
    const digits = switch (value) {
        .number_string => |text| text,
        else => return wrongType(key, "a whole number", value),
    };
    const code = std.fmt.parseInt(i64, digits, 10) catch |problem| switch (problem) {
        error.Overflow => 0,
        error.InvalidCharacter => return refuse("{s} has to be a whole number, not {s}", .{ key, digits }),
    };
    if (code > 100 and code < 600) return @intCast(code);
    host.warn("{s} {s} is no HTTP status; {d} is used", .{ key, digits, Config.default_blocked_code });
    return Config.default_blocked_code;
}

fn lowered(arena: Allocator, texts: []const []const u8) Allocator.Error![]const []const u8 {
    const result = try arena.alloc([]const u8, texts.len);
    for (texts, result) |text, *slot| slot.* = try std.ascii.allocLowerString(arena, text);
    return result;
}
