//! The headers of a request and of a response, pseudo-headers included, and the form in which the host passes them.

const std = @import("std");
const abi = @import("abi.zig");
const host = @import("host.zig");
const memory = @import("memory.zig");

const Allocator = std.mem.Allocator;

pub const Header = struct { name: []const u8, value: []const u8 };

pub const request: Map = .{ .which = .http_request_headers };
pub const response: Map = .{ .which = .http_response_headers };
/// Of the answer to a call, while the callback about it runs.
pub const call_response: Map = .{ .which = .http_call_response_headers };

/// Names are looked for as they are given; the host keeps them in small letters.
pub const Map = struct {
    which: abi.MapType,

    pub fn get(self: Map, name: []const u8) host.Error!?[]const u8 {
        var data: ?[*]const u8 = null;
        var length: usize = 0;
        const status = abi.proxy_get_header_map_value(self.which, name.ptr, name.len, &data, &length);
        return host.received(status, data, length);
    }

    /// All of them, in the host's order.
    pub fn all(self: Map) (host.Error || Allocator.Error)![]const Header {
        var data: ?[*]const u8 = null;
        var length: usize = 0;
        const status = abi.proxy_get_header_map_pairs(self.which, &data, &length);
        return decode(memory.call(), try host.received(status, data, length) orelse "");
    }

    pub fn add(self: Map, name: []const u8, value: []const u8) void {
        _ = abi.proxy_add_header_map_value(self.which, name.ptr, name.len, value.ptr, value.len);
    }

    /// Takes the place of every value that there was.
    pub fn replace(self: Map, name: []const u8, value: []const u8) void {
        _ = abi.proxy_replace_header_map_value(self.which, name.ptr, name.len, value.ptr, value.len);
    }

    pub fn remove(self: Map, name: []const u8) void {
        _ = abi.proxy_remove_header_map_value(self.which, name.ptr, name.len);
    }
};

/// The specification's serialised map: a count, then (name size, value size) pairs, then NUL-ended names and values.
pub fn encode(allocator: Allocator, headers: []const Header) Allocator.Error![]const u8 {
    var bytes: std.ArrayList(u8) = .empty;
    try appendSize(&bytes, allocator, headers.len);
    for (headers) |header| {
        try appendSize(&bytes, allocator, header.name.len);
        try appendSize(&bytes, allocator, header.value.len);
    }
    for (headers) |header| {
        try bytes.appendSlice(allocator, header.name);
        try bytes.append(allocator, 0);
        try bytes.appendSlice(allocator, header.value);
        try bytes.append(allocator, 0);
    }
    return bytes.items;
}

fn appendSize(bytes: *std.ArrayList(u8), allocator: Allocator, size: usize) Allocator.Error!void {
    const little = std.mem.nativeToLittle(u32, @intCast(size));
    try bytes.appendSlice(allocator, std.mem.asBytes(&little));
}

/// The reverse; a map that is shorter than it says is refused.
fn decode(allocator: Allocator, bytes: []const u8) (host.Error || Allocator.Error)![]const Header {
    if (bytes.len < 4) return &.{};
    const count = readSize(bytes, 0);
    if (count > (bytes.len - 4) / 8) return error.HostRefused;
    const headers = try allocator.alloc(Header, count);
    var position: usize = 4 + count * 8;
    for (headers, 0..) |*header, index| {
        header.name = try part(bytes, &position, readSize(bytes, 4 + index * 8));
        header.value = try part(bytes, &position, readSize(bytes, 8 + index * 8));
    }
    return headers;
}

fn readSize(bytes: []const u8, position: usize) usize {
    return std.mem.readInt(u32, bytes[position..][0..4], .little);
}

fn part(bytes: []const u8, position: *usize, size: usize) host.Error![]const u8 {
    const left = bytes.len - position.*;
    if (size >= left) return error.HostRefused;
    defer position.* += size + 1;
    return bytes[position.*..][0..size];
}
