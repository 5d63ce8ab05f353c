//! What is kept of a body while it passes, and how it is written into one line of a log.

const std = @import("std");
const shared = @import("shared");

const memory = shared.memory;
const Allocator = std.mem.Allocator;

pub const Body = struct {
    kept: std.ArrayList(u8) = .empty,
    size: usize = 0,

    const kept_at_most = 64 * 1024;

    /// The chunk itself goes on its way at once.
    pub fn add(self: *Body, chunk: shared.plugin.Chunk) (shared.host.Error || Allocator.Error)!void {
        self.size += chunk.size;
        if (self.kept.items.len == kept_at_most) return;
        const bytes = try chunk.bytes();
        const room = kept_at_most - self.kept.items.len;
        try self.kept.appendSlice(memory.heap, bytes[0..@min(bytes.len, room)]);
    }

    pub fn deinit(self: *Body) void {
        self.kept.deinit(memory.heap);
    }

    /// Where it was longer than what is kept, with its size.
    pub fn text(self: *const Body) Allocator.Error![]const u8 {
        const shown = try oneLine(self.kept.items);
        if (self.size == self.kept.items.len) return shown;
        const size = shared.host.decimal(@intCast(self.size));
        return std.mem.concat(memory.call(), u8, &.{ shown, " … (", size, " bytes)" });
    }
};

/// Control characters, and every byte beyond ASCII in what is not UTF-8, are written as escapes: what users send may
/// not pass for a line of Envoy's own.
pub fn oneLine(bytes: []const u8) Allocator.Error![]const u8 {
    const is_utf8 = std.unicode.utf8ValidateSlice(bytes);
    var line: std.ArrayList(u8) = .empty;
    for (bytes) |byte| switch (byte) {
        '\n' => try line.appendSlice(memory.call(), "\\n"),
        '\r' => try line.appendSlice(memory.call(), "\\r"),
        '\t' => try line.appendSlice(memory.call(), "\\t"),
        else => if (std.ascii.isControl(byte) or (byte > 0x7f and !is_utf8)) {
            const digits = "0123456789abcdef";
            try line.appendSlice(memory.call(), &.{ '\\', 'x', digits[byte >> 4], digits[byte & 0xf] });
        } else try line.append(memory.call(), byte),
    };
    return line.items;
}
