//! A URL's query, as Go's net/url reads and writes it, which Higress' plugins use.

const std = @import("std");

const Allocator = std.mem.Allocator;

pub const Parameter = struct { key: []const u8, value: []const u8 };

/// The part of `:path` before the query.
pub fn withoutQuery(path: []const u8) []const u8 {
    return path[0 .. std.mem.indexOfScalar(u8, path, '?') orelse path.len];
}

/// The parameters in their order. One with a semicolon or a broken escape is left out.
pub fn parse(allocator: Allocator, path: []const u8) Allocator.Error![]const Parameter {
    const start = std.mem.indexOfScalar(u8, path, '?') orelse return &.{};
    var text = path[start + 1 ..];
    text = text[0 .. std.mem.indexOfScalar(u8, text, '#') orelse text.len];
    var parameters: std.ArrayList(Parameter) = .empty;
    var pieces = std.mem.splitScalar(u8, text, '&');
    while (pieces.next()) |piece| {
        if (piece.len == 0 or std.mem.indexOfScalar(u8, piece, ';') != null) continue;
        const end = std.mem.indexOfScalar(u8, piece, '=') orelse piece.len;
        const key = try unescape(allocator, piece[0..end]) orelse continue;
        const value = try unescape(allocator, piece[@min(end + 1, piece.len)..]) orelse continue;
        try parameters.append(allocator, .{ .key = key, .value = value });
    }
    return parameters.items;
}

fn unescape(allocator: Allocator, text: []const u8) Allocator.Error!?[]const u8 {
    var result: std.ArrayList(u8) = try .initCapacity(allocator, text.len);
    var index: usize = 0;
    while (index < text.len) : (index += 1) {
        switch (text[index]) {
            '%' => {
                if (index + 2 >= text.len) return null;
                const high = std.fmt.charToDigit(text[index + 1], 16) catch return null;
                const low = std.fmt.charToDigit(text[index + 2], 16) catch return null;
                result.appendAssumeCapacity(high * 16 + low);
                index += 2;
            },
            '+' => result.appendAssumeCapacity(' '),
            else => |byte| result.appendAssumeCapacity(byte),
        }
    }
    return result.items;
}

/// `key=value` with escapes, behind whatever `text` has already.
pub fn append(text: *std.ArrayList(u8), allocator: Allocator, parameter: Parameter) Allocator.Error!void {
    try appendEscaped(text, allocator, parameter.key);
    try text.append(allocator, '=');
    try appendEscaped(text, allocator, parameter.value);
}

fn appendEscaped(text: *std.ArrayList(u8), allocator: Allocator, raw: []const u8) Allocator.Error!void {
    for (raw) |byte| switch (byte) {
        'a'...'z', 'A'...'Z', '0'...'9', '-', '_', '.', '~' => try text.append(allocator, byte),
        ' ' => try text.append(allocator, '+'),
        else => try text.appendSlice(allocator, &.{ '%', hex(byte >> 4), hex(byte & 0xf) }),
    };
}

fn hex(digit: u8) u8 {
    return "0123456789ABCDEF"[digit];
}
