//! One configuration of transformer: what is done to headers and query parameters, in the order in which it is listed.
//!
//! Keys and their meaning are those of Higress' plugin of the same name.

const std = @import("std");
const shared = @import("shared");
const operations = @import("operations.zig");
const Pattern = @import("pattern.zig").Pattern;

const configuration = shared.configuration;
const host = shared.host;
const memory = shared.memory;
const Allocator = std.mem.Allocator;
const Operation = operations.Operation;
const Text = configuration.Text;

pub const Config = struct {
    request_headers: []const Operation,
    request_query: []const Operation,
    response_headers: []const Operation,

    const Keys = struct {
        reqRules: ?[]const RuleKeys = null,
        respRules: ?[]const RuleKeys = null,
        reroute: bool = true,
    };

    pub fn parse(arena: Allocator, value: std.json.Value) configuration.Problem!Config {
        const keys = try configuration.read(Keys, arena, value);
        if (keys.reqRules == null and keys.respRules == null) {
            return configuration.refuse(&.{"there is no rule: reqRules or respRules is required"});
        }
        if (!keys.reroute) host.warn(&.{"reroute false has no effect: Envoy chooses the route again after a change"});
        var reader: Reader = .{ .arena = arena };
        for (keys.reqRules orelse &.{}, 0..) |rule, index| try reader.rule(rule, .request, index);
        for (keys.respRules orelse &.{}, 0..) |rule, index| try reader.rule(rule, .response, index);
        return .{
            .request_headers = reader.request_headers.items,
            .request_query = reader.request_query.items,
            .response_headers = reader.response_headers.items,
        };
    }
};

const RuleKeys = struct {
    operate: enum { remove, rename, replace, add, append, map, dedupe },
    mapSource: ?enum { headers, querys, body } = null,
    headers: []const ItemKeys = &.{},
    querys: []const ItemKeys = &.{},

    pub const ignored_keys = .{.{ "body", "is not supported by this build" }};
};

const ItemKeys = struct {
    key: []const u8 = "",
    oldKey: []const u8 = "",
    newKey: []const u8 = "",
    newValue: ?Text = null,
    value: ?Text = null,
    appendValue: ?Text = null,
    fromKey: []const u8 = "",
    toKey: []const u8 = "",
    strategy: operations.Dedupe.Strategy = .RETAIN_FIRST,
    host_pattern: []const u8 = "",
    path_pattern: []const u8 = "",

    pub const ignored_keys = .{.{ "value_type", "counts only for bodies, which this build does not transform," }};
};

const Side = enum { request, response };

const Reader = struct {
    arena: Allocator,
    /// Where in the configuration it is, for messages.
    path: []const u8 = "",
    request_headers: std.ArrayList(Operation) = .empty,
    request_query: std.ArrayList(Operation) = .empty,
    response_headers: std.ArrayList(Operation) = .empty,

    fn rule(self: *Reader, keys: RuleKeys, side: Side, index: usize) configuration.Problem!void {
        const at = try configuration.at(if (side == .request) "reqRules" else "respRules", index);
        if (side == .response and keys.querys.len > 0) {
            host.warn(&.{ at, ".querys has no effect: a response has none" });
        }
        const is_map = keys.operate == .map;
        if (is_map and keys.mapSource == .body) {
            return host.warn(&.{ at, ".mapSource body is not supported by this build; the rule is ignored" });
        }
        if (is_map and side == .response and keys.mapSource == .querys) {
            return host.warn(&.{ at, ".mapSource querys has no effect: a response has none; the rule is ignored" });
        }
        for (keys.headers, 0..) |item, place| {
            self.path = try configuration.at(try std.mem.concat(memory.call(), u8, &.{ at, ".headers" }), place);
            const source: operations.Subject = if (keys.mapSource == .querys) .query else .headers;
            const list = if (side == .request) &self.request_headers else &self.response_headers;
            try list.append(self.arena, try self.operation(keys, item, .headers, source));
        }
        if (side == .response) return;
        for (keys.querys, 0..) |item, place| {
            self.path = try configuration.at(try std.mem.concat(memory.call(), u8, &.{ at, ".querys" }), place);
            const source: operations.Subject = if (keys.mapSource == .headers) .headers else .query;
            try self.request_query.append(self.arena, try self.operation(keys, item, .query, source));
        }
    }

    fn operation(
        self: *Reader,
        keys: RuleKeys,
        item: ItemKeys,
        subject: operations.Subject,
        source: operations.Subject,
    ) configuration.Problem!Operation {
        return switch (keys.operate) {
            .remove => .{ .remove = try self.name("key", item.key, subject) },
            .rename => .{ .rename = .{
                .from = try self.name("oldKey", item.oldKey, subject),
                .to = try self.name("newKey", item.newKey, subject),
            } },
            .replace => .{ .replace = try self.setting("newValue", item, item.newValue, subject) },
            .add => .{ .add = try self.setting("value", item, item.value, subject) },
            .append => .{ .append = try self.setting("appendValue", item, item.appendValue, subject) },
            .map => .{ .map = .{
                .source = source,
                .from = try self.name("fromKey", item.fromKey, source),
                .to = try self.name("toKey", item.toKey, subject),
            } },
            .dedupe => .{ .dedupe = .{
                .key = try self.name("key", item.key, subject),
                .strategy = item.strategy,
            } },
        };
    }

    /// Letter case counts in the query only.
    fn name(
        self: *Reader,
        comptime key: []const u8,
        text: []const u8,
        subject: operations.Subject,
    ) configuration.Problem![]const u8 {
        if (text.len == 0) return configuration.refuse(&.{ self.path, ".", key, " is required" });
        return if (subject == .headers) std.ascii.allocLowerString(self.arena, text) else text;
    }

    fn setting(
        self: *Reader,
        comptime key: []const u8,
        item: ItemKeys,
        value: ?Text,
        subject: operations.Subject,
    ) configuration.Problem!operations.Setting {
        const text = value orelse return configuration.refuse(&.{ self.path, ".", key, " is required" });
        return .{
            .key = try self.name("key", item.key, subject),
            .value = text.text,
            .template = if (item.host_pattern.len > 0)
                .{ .subject = .host, .pattern = try self.pattern("host_pattern", item.host_pattern) }
            else if (item.path_pattern.len > 0)
                .{ .subject = .path, .pattern = try self.pattern("path_pattern", item.path_pattern) }
            else
                null,
        };
    }

    fn pattern(self: *Reader, comptime key: []const u8, text: []const u8) configuration.Problem!Pattern {
        var why: []const u8 = "";
        return Pattern.compile(self.arena, text, &why) catch |problem| switch (problem) {
            error.OutOfMemory => error.OutOfMemory,
            error.InvalidPattern => configuration.refuse(&.{ self.path, ".", key, " is no usable pattern: ", why }),
        };
    }
};
