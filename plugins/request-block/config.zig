//! One configuration of request-block: what blocks a request, and how the refusal looks.
//!
//! Keys and their meaning are those of Higress' plugin of the same name.

const std = @import("std");
const shared = @import("shared");

const configuration = shared.configuration;
const host = shared.host;
const Allocator = std.mem.Allocator;

pub const Config = struct {
    block_urls: []const []const u8,
    block_exact_urls: []const []const u8,
    block_headers: []const []const u8,
    case_sensitive: bool,
    blocked_code: u32,
    blocked_message: []const u8,

    const default_blocked_code = 403;

    const Keys = struct {
        block_urls: []const []const u8 = &.{},
        block_exact_urls: []const []const u8 = &.{},
        block_headers: []const []const u8 = &.{},
        case_sensitive: bool = false,
        blocked_code: i64 = default_blocked_code,
        blocked_message: []const u8 = "",

        pub const ignored_keys = .{
            .{ "block_bodies", "is not supported by this build" },
            .{ "block_regexp_urls", "is not supported by this build" },
        };
    };

    /// Refuses what has nothing that could block.
    pub fn parse(arena: Allocator, value: std.json.Value) configuration.Problem!Config {
        const keys = try configuration.read(Keys, arena, value);
        const config: Config = .{
            .block_urls = try words(arena, keys, keys.block_urls),
            .block_exact_urls = try words(arena, keys, keys.block_exact_urls),
            .block_headers = try words(arena, keys, keys.block_headers),
            .case_sensitive = keys.case_sensitive,
            .blocked_code = statusCode(keys.blocked_code),
            .blocked_message = keys.blocked_message,
        };
        if (config.block_urls.len == 0 and config.block_headers.len == 0) {
            return configuration.refuse(&.{"there is no block rule: block_urls or block_headers has to name " ++
                "something (block_exact_urls alone is not enough)"});
        }
        if (config.block_urls.len == 0 and config.block_exact_urls.len > 0) {
            host.warn(&.{"block_exact_urls has no effect without block_urls"});
        }
        return config;
    }
};

/// In small letters where letter case does not count.
fn words(arena: Allocator, keys: Config.Keys, texts: []const []const u8) Allocator.Error![]const []const u8 {
    const kept = try configuration.withoutEmpty(arena, texts);
    if (keys.case_sensitive) return kept;
    const result = try arena.alloc([]const u8, kept.len);
    for (kept, result) |text, *slot| slot.* = try std.ascii.allocLowerString(arena, text);
    return result;
}

/// A number outside 101 … 599 stands for the default, as in Higress' plugin.
fn statusCode(code: i64) u32 {
    if (code > 100 and code < 600) return @intCast(code);
    const used = host.decimal(Config.default_blocked_code);
    host.warn(&.{ "blocked_code ", host.decimal(code), " is no HTTP status; ", used, " is used" });
    return Config.default_blocked_code;
}
