//! What can be done to headers and query parameters, and names with several values, which it is done to.

const std = @import("std");
const Pattern = @import("pattern.zig").Pattern;

const Allocator = std.mem.Allocator;

pub const Subject = enum { headers, query };

pub const Operation = union(enum) {
    remove: []const u8,
    rename: Pair,
    replace: Setting,
    add: Setting,
    append: Setting,
    map: Mapping,
    dedupe: Dedupe,
};

pub const Pair = struct { from: []const u8, to: []const u8 };
pub const Mapping = struct { source: Subject, from: []const u8, to: []const u8 };

pub const Setting = struct {
    key: []const u8,
    value: []const u8,
    /// Where there is one that matches, the value is what becomes of the host or the path under it.
    template: ?Template,
};

pub const Template = struct { subject: enum { host, path }, pattern: Pattern };

pub const Dedupe = struct {
    key: []const u8,
    strategy: Strategy,

    pub const Strategy = enum {
        RETAIN_FIRST,
        RETAIN_LAST,
        RETAIN_UNIQUE,
        SPLIT_AND_RETAIN_FIRST,
        SPLIT_AND_RETAIN_LAST,
    };
};

/// What patterns are matched against: `:authority` and `:path` as they were at first.
pub const Origin = struct { host: []const u8 = "", path: []const u8 = "" };

/// Names in the order of their first value, each with its values in order.
pub const Values = struct {
    allocator: Allocator,
    entries: std.ArrayList(Entry) = .empty,

    pub const Entry = struct { key: []const u8, values: []const []const u8, changed: bool };

    pub fn get(self: *const Values, key: []const u8) []const []const u8 {
        for (self.entries.items) |entry| {
            if (std.mem.eql(u8, entry.key, key)) return entry.values;
        }
        return &.{};
    }

    /// Nothing in `values` means: gone.
    pub fn set(self: *Values, key: []const u8, values: []const []const u8) Allocator.Error!void {
        for (self.entries.items) |*entry| {
            if (!std.mem.eql(u8, entry.key, key)) continue;
            entry.values = values;
            entry.changed = true;
            return;
        }
        try self.entries.append(self.allocator, .{ .key = key, .values = values, .changed = true });
    }

    pub fn append(self: *Values, key: []const u8, more: []const []const u8) Allocator.Error!void {
        try self.set(key, try std.mem.concat(self.allocator, []const u8, &.{ self.get(key), more }));
    }

    /// What is read at first is no change.
    pub fn settle(self: *Values) void {
        for (self.entries.items) |*entry| entry.changed = false;
    }
};

/// Carries out `operations` on `values` in order. `other` is what a mapping from the other subject reads.
pub fn apply(
    operations: []const Operation,
    subject: Subject,
    values: *Values,
    other: ?*const Values,
    origin: Origin,
) Allocator.Error!void {
    for (operations) |operation| switch (operation) {
        .remove => |key| if (values.get(key).len > 0) try values.set(key, &.{}),
        .rename => |names| {
            const moved = values.get(names.from);
            if (moved.len == 0) continue;
            // In this order: a name that stays the same loses its values, as in Higress' plugin.
            try values.append(names.to, moved);
            try values.set(names.from, &.{});
        },
        .replace => |setting| try values.set(setting.key, try one(values.allocator, setting, origin)),
        .add => |setting| if (values.get(setting.key).len == 0) {
            try values.set(setting.key, try one(values.allocator, setting, origin));
        },
        .append => |setting| try values.append(setting.key, try one(values.allocator, setting, origin)),
        .map => |mapping| {
            const source: *const Values = if (mapping.source == subject) values else other orelse continue;
            const found = source.get(mapping.from);
            if (found.len > 0) try values.set(mapping.to, found);
        },
        .dedupe => |dedupe| {
            const found = values.get(dedupe.key);
            if (found.len > 0) try values.set(dedupe.key, try deduped(values.allocator, found, dedupe.strategy));
        },
    };
}

fn one(allocator: Allocator, setting: Setting, origin: Origin) Allocator.Error![]const []const u8 {
    var value = setting.value;
    if (setting.template) |template| {
        const text = if (template.subject == .host) origin.host else origin.path;
        if (try template.pattern.replaceAll(allocator, text, setting.value)) |replaced| value = replaced;
    }
    return allocator.dupe([]const u8, &.{value});
}

fn deduped(
    allocator: Allocator,
    values: []const []const u8,
    strategy: Dedupe.Strategy,
) Allocator.Error![]const []const u8 {
    const first = values[0];
    return switch (strategy) {
        .RETAIN_FIRST => values[0..1],
        .RETAIN_LAST => values[values.len - 1 ..],
        .RETAIN_UNIQUE => unique(allocator, values),
        .SPLIT_AND_RETAIN_FIRST => allocator.dupe([]const u8, &.{
            first[0 .. std.mem.indexOfScalar(u8, first, ',') orelse first.len],
        }),
        .SPLIT_AND_RETAIN_LAST => allocator.dupe([]const u8, &.{
            first[if (std.mem.lastIndexOfScalar(u8, first, ',')) |comma| comma + 1 else 0..],
        }),
    };
}

fn unique(allocator: Allocator, values: []const []const u8) Allocator.Error![]const []const u8 {
    var kept: std.ArrayList([]const u8) = .empty;
    for (values) |value| {
        for (kept.items) |earlier| {
            if (std.mem.eql(u8, earlier, value)) break;
        } else try kept.append(allocator, value);
    }
    return kept.items;
}
