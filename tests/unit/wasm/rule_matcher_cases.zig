//! plugins/shared/rule_matcher.zig over cases as in golden/rule-matcher.json: which configuration applies.

const std = @import("std");
const native = @import("native_cases.zig");
const rule_matcher = @import("rule_matcher.zig");

const Value = std.json.Value;

/// As the recorded test plugin: a configuration with a top-level `fail` is refused.
const Config = struct {
    pub fn parse(_: std.mem.Allocator, value: Value) error{ InvalidConfiguration, OutOfMemory }!Config {
        if (value == .object and value.object.contains("fail")) return error.InvalidConfiguration;
        return .{};
    }
};

/// And the one that reads rules by a function of its own.
const OverridingConfig = struct {
    saw_global: bool = false,

    pub fn parse(arena: std.mem.Allocator, value: Value) error{ InvalidConfiguration, OutOfMemory }!OverridingConfig {
        _ = try Config.parse(arena, value);
        return .{};
    }

    pub fn parseRule(
        _: std.mem.Allocator,
        _: Value,
        global: ?*const OverridingConfig,
    ) error{ InvalidConfiguration, OutOfMemory }!OverridingConfig {
        return .{ .saw_global = global != null };
    }
};

const Answer = struct { start: []const u8, matched: ?[]const u8, saw_global: bool = false };

fn answer(arena: std.mem.Allocator, case: Value) !Answer {
    const overrides = std.mem.eql(u8, native.field(case, "parser") orelse "one", "override");
    return if (overrides) outcome(OverridingConfig, arena, case) else outcome(Config, arena, case);
}

fn outcome(comptime Kept: type, arena: std.mem.Allocator, case: Value) !Answer {
    const failed: Answer = .{ .start = "error", .matched = null };
    const configuration = if (native.field(case, "config_text")) |text|
        std.json.parseFromSliceLeaky(Value, arena, text, .{ .parse_numbers = false }) catch return failed
    else
        case.object.get("config").?;
    const matcher = rule_matcher.RuleMatcher(Kept).parse(arena, configuration) catch return failed;
    const request = case.object.get("request").?;
    const choice = matcher.choose(.{
        .authority = native.field(request, "authority").?,
        .route_name = native.field(request, "route_name") orelse "",
        .cluster_name = native.field(request, "cluster_name") orelse "",
    });
    const kept = matcher.chosen(choice);
    return .{
        .start = "ok",
        .matched = switch (choice) {
            .nothing => null,
            .global => "global",
            .rule => |index| try std.fmt.allocPrint(arena, "rule:{d}", .{index}),
        },
        .saw_global = if (@hasField(Kept, "saw_global") and kept != null) kept.?.saw_global else false,
    };
}

pub fn main(init: std.process.Init) !void {
    try native.run(init, answer);
}
