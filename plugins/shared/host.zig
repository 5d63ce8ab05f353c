//! The host's functions as Zig likes them: slices, optionals and errors. Slices live until the callback returns.

const std = @import("std");
const abi = @import("abi.zig");
const memory = @import("memory.zig");

pub const Error = error{HostRefused};
pub const Header = struct { name: []const u8, value: []const u8 };

fn log(level: abi.LogLevel, comptime format: []const u8, arguments: anytype) void {
    const message = std.fmt.allocPrint(memory.call(), format, arguments) catch "out of memory while logging";
    _ = abi.proxy_log(level, message.ptr, message.len);
}

pub fn warn(comptime format: []const u8, arguments: anytype) void {
    log(.warn, format, arguments);
}

pub fn err(comptime format: []const u8, arguments: anytype) void {
    log(.err, format, arguments);
}

/// Null where the host knows no such header, property or buffer.
fn received(status: abi.Status, data: ?[*]const u8, size: usize) Error!?[]const u8 {
    return switch (status) {
        .ok => if (data) |bytes| bytes[0..size] else "",
        .not_found => null,
        else => error.HostRefused,
    };
}

pub fn pluginConfiguration(size: usize) Error![]const u8 {
    if (size == 0) return "";
    var data: ?[*]const u8 = null;
    var length: usize = 0;
    const status = abi.proxy_get_buffer_bytes(.plugin_configuration, 0, size, &data, &length);
    return try received(status, data, length) orelse "";
}

pub fn requestHeader(name: []const u8) Error!?[]const u8 {
    var data: ?[*]const u8 = null;
    var length: usize = 0;
    const status = abi.proxy_get_header_map_value(.http_request_headers, name.ptr, name.len, &data, &length);
    return received(status, data, length);
}

/// `path` has a NUL between its words.
pub fn property(path: []const u8) Error!?[]const u8 {
    var data: ?[*]const u8 = null;
    var length: usize = 0;
    const status = abi.proxy_get_property(path.ptr, path.len, &data, &length);
    return received(status, data, length);
}

/// All request headers, pseudo-headers included, in the host's order.
pub fn requestHeaders() (Error || std.mem.Allocator.Error)![]const Header {
    var data: ?[*]const u8 = null;
    var length: usize = 0;
    const status = abi.proxy_get_header_map_pairs(.http_request_headers, &data, &length);
    return decodeHeaders(memory.call(), try received(status, data, length) orelse "");
}

pub fn replaceResponseHeader(name: []const u8, value: []const u8) void {
    _ = abi.proxy_replace_header_map_value(.http_response_headers, name.ptr, name.len, value.ptr, value.len);
}

/// Answers the request from here. `details` appears in access logs as the response code's details.
pub fn sendLocalResponse(
    status_code: u32,
    details: []const u8,
    body: []const u8,
    headers: []const Header,
) (Error || std.mem.Allocator.Error)!void {
    const encoded = try encodeHeaders(memory.call(), headers);
    const status = abi.proxy_send_local_response(
        status_code,
        details.ptr,
        details.len,
        body.ptr,
        body.len,
        encoded.ptr,
        encoded.len,
        abi.no_grpc_status,
    );
    if (status != .ok) return error.HostRefused;
}

/// The specification's serialised map: a count, then (name size, value size) pairs, then NUL-ended names and values.
fn encodeHeaders(allocator: std.mem.Allocator, headers: []const Header) std.mem.Allocator.Error![]const u8 {
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

fn appendSize(bytes: *std.ArrayList(u8), allocator: std.mem.Allocator, size: usize) std.mem.Allocator.Error!void {
    const little = std.mem.nativeToLittle(u32, @intCast(size));
    try bytes.appendSlice(allocator, std.mem.asBytes(&little));
}

/// The reverse; a map that is shorter than it says is refused.
fn decodeHeaders(allocator: std.mem.Allocator, bytes: []const u8) (Error || std.mem.Allocator.Error)![]const Header {
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

fn part(bytes: []const u8, position: *usize, size: usize) Error![]const u8 {
    const left = bytes.len - position.*;
    if (size >= left) return error.HostRefused;
    defer position.* += size + 1;
    return bytes[position.*..][0..size];
}
