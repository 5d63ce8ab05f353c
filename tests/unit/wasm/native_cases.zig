//! Reads a JSON list of cases from standard input and prints the answer to each as a line of JSON.

const std = @import("std");

const Value = std.json.Value;

/// `answer(arena, case) !T`, with T something that can be written as JSON.
pub fn run(init: std.process.Init, comptime answer: anytype) !void {
    const arena = init.arena.allocator();
    var input_buffer: [4096]u8 = undefined;
    var input = std.Io.File.stdin().readerStreaming(init.io, &input_buffer);
    const text = try input.interface.allocRemaining(arena, .unlimited);
    // Numbers stay as written, as in the plugins.
    const cases = try std.json.parseFromSliceLeaky(Value, arena, text, .{ .parse_numbers = false });

    var output_buffer: [4096]u8 = undefined;
    var output = std.Io.File.stdout().writerStreaming(init.io, &output_buffer);
    for (cases.array.items) |case| {
        try std.json.Stringify.value(try answer(arena, case), .{}, &output.interface);
        try output.interface.writeByte('\n');
    }
    try output.interface.flush();
}

pub fn field(case: Value, name: []const u8) ?[]const u8 {
    const value = case.object.get(name) orelse return null;
    return if (value == .string) value.string else null;
}
