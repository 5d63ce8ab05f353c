//! Runs plugins/shared/rule_matcher.zig natively over golden/rule-matcher.json; prints one line per deviating case.

const std = @import("std");
const rule_matcher = @import("rule_matcher");

const Value = std.json.Value;

/// As the recorded test plugin: a configuration with a top-level `fail` is refused.
const Config = struct {
    given: Value,

    pub fn parse(_: std.mem.Allocator, value: Value) error{ InvalidConfiguration, OutOfMemory }!Config {
        if (value == .object and value.object.contains("fail")) return error.InvalidConfiguration;
        return .{ .given = value };
    }
};

const Matcher = rule_matcher.RuleMatcher(Config);

fn text(value: ?Value) ?[]const u8 {
    return if (value) |present| (if (present == .string) present.string else null) else null;
}

fn outcome(arena: std.mem.Allocator, case: std.json.ObjectMap) ![]const u8 {
    const configuration = if (text(case.get("config_text"))) |raw|
        std.json.parseFromSliceLeaky(Value, arena, raw, .{ .parse_numbers = false }) catch return "error"
    else
        case.get("config").?;
    const matcher = Matcher.parse(arena, configuration) catch return "error";
    const request = case.get("request").?.object;
    const matched = matcher.match(.{
        .authority = text(request.get("authority")).?,
        .route_name = text(request.get("route_name")) orelse "",
        .cluster_name = text(request.get("cluster_name")) orelse "",
    }) orelse return "null";
    for (matcher.rules, 0..) |*rule, index| {
        if (matched == &rule.config) return std.fmt.allocPrint(arena, "rule:{d}", .{index});
    }
    return "global";
}

test "the recorded cases" {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    const golden = try std.json.parseFromSliceLeaky(Value, arena.allocator(), @embedFile("rule-matcher.json"), .{
        .parse_numbers = false,
    });
    var compared: usize = 0;
    var deviating: usize = 0;
    for (golden.object.get("cases").?.array.items) |item| {
        const case = item.object;
        // A second parser for rules is not offered here; a missing :authority is the plugin layer's business.
        if (std.mem.eql(u8, text(case.get("parser")).?, "override")) continue;
        if (case.get("request")) |request| {
            if (request == .object and text(request.object.get("authority")) == null) continue;
        }
        compared += 1;
        const expected = if (std.mem.eql(u8, text(case.get("start")).?, "error"))
            "error"
        else
            text(case.get("matched")) orelse "null";
        const actual = try outcome(arena.allocator(), case);
        if (!std.mem.eql(u8, expected, actual)) {
            deviating += 1;
            std.debug.print("{s}: expected {s}, got {s}\n", .{ text(case.get("name")).?, expected, actual });
        }
    }
    std.debug.print("compared {d} cases\n", .{compared});
    try std.testing.expectEqual(0, deviating);
}
