//! plugins/transformer/pattern.zig over cases: where a pattern is found in a text, and what a replacement makes of it.

const std = @import("std");
const native = @import("native_cases.zig");
const Pattern = @import("pattern.zig").Pattern;

const Answer = struct {
    /// Why the pattern is invalid.
    invalid: ?[]const u8 = null,
    /// The bounds of each group, one after another.
    bounds: ?[]const ?usize = null,
    replaced: ?[]const u8 = null,
};

fn answer(arena: std.mem.Allocator, case: std.json.Value) !Answer {
    const text = native.field(case, "text").?;
    var why: []const u8 = "";
    const pattern = Pattern.compile(arena, native.field(case, "pattern").?, &why) catch |problem| switch (problem) {
        error.InvalidPattern => return .{ .invalid = why },
        error.OutOfMemory => return problem,
    };
    return .{
        .bounds = try pattern.find(arena, text, 0),
        .replaced = if (native.field(case, "template")) |template| try pattern.replaceAll(arena, text, template) else null,
    };
}

pub fn main(init: std.process.Init) !void {
    try native.run(init, answer);
}
