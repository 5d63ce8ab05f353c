//! One configuration of key-auth: where an API key is looked for, whose it is, and who is let through.
//!
//! Keys and their meaning are those of Higress' plugin of the same name. A rule takes everything but `allow` from the
//! global configuration.

const std = @import("std");
const shared = @import("shared");

const configuration = shared.configuration;
const Allocator = std.mem.Allocator;
const Value = std.json.Value;

pub const Consumer = struct { name: []const u8, credential: []const u8 };

pub const Config = struct {
    /// Names of headers or query parameters.
    keys: []const []const u8 = &.{},
    in_header: bool = false,
    in_query: bool = false,
    consumers: []const Consumer = &.{},
    /// False: whoever asks is let through unasked.
    applies: bool = true,
    /// The names of those who may; null: every consumer.
    allow: ?[]const []const u8 = null,

    const GlobalKeys = struct {
        consumers: []const Consumer,
        keys: []const []const u8,
        in_header: ?bool = null,
        in_query: ?bool = null,
        global_auth: ?bool = null,

        pub const ignored_keys = .{.{ "allow", "counts only in a rule" }};
    };

    const RuleKeys = struct {
        allow: []const []const u8,

        pub const ignored_keys = .{
            .{ "consumers", global_only },
            .{ "keys", global_only },
            .{ "in_header", global_only },
            .{ "in_query", global_only },
            .{ "global_auth", global_only },
        };
        const global_only = "counts only in the global configuration";
    };

    pub fn parse(arena: Allocator, value: Value) configuration.Problem!Config {
        const given = try configuration.read(GlobalKeys, arena, value);
        if (given.keys.len == 0) return configuration.refuse(&.{"keys names nothing"});
        if (given.consumers.len == 0) return configuration.refuse(&.{"consumers names nobody"});
        if (given.in_header == null and given.in_query == null) {
            return configuration.refuse(&.{"in_header or in_query is required"});
        }
        for (given.consumers, 0..) |consumer, index| {
            const at = try configuration.at("consumers", index);
            if (consumer.name.len == 0) return configuration.refuse(&.{ at, ".name is empty" });
            if (consumer.credential.len == 0) return configuration.refuse(&.{ at, ".credential is empty" });
            for (given.consumers[0..index]) |earlier| {
                if (!std.mem.eql(u8, earlier.credential, consumer.credential)) continue;
                return configuration.refuse(&.{ at, ".credential is that of ", earlier.name, " already" });
            }
        }
        return .{
            .keys = given.keys,
            .in_header = given.in_header orelse false,
            .in_query = given.in_query orelse false,
            .consumers = given.consumers,
            .applies = given.global_auth orelse !shared.rule_matcher.hasRules(value),
        };
    }

    /// Without a usable global configuration nobody has a key, so that everybody is refused.
    pub fn parseRule(arena: Allocator, value: Value, global: ?*const Config) configuration.Problem!Config {
        const given = try configuration.read(RuleKeys, arena, value);
        if (given.allow.len == 0) return configuration.refuse(&.{"allow names nobody"});
        var config: Config = if (global) |inherited| inherited.* else .{};
        config.applies = true;
        config.allow = given.allow;
        return config;
    }

    pub fn owner(self: *const Config, credential: []const u8) ?[]const u8 {
        for (self.consumers) |consumer| {
            if (std.mem.eql(u8, consumer.credential, credential)) return consumer.name;
        }
        return null;
    }

    pub fn lets(self: *const Config, name: []const u8) bool {
        for (self.allow orelse return true) |allowed| {
            if (std.mem.eql(u8, allowed, name)) return true;
        }
        return false;
    }
};
