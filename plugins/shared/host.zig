//! The host's functions as Zig likes them: slices, optionals and errors. Slices live until the callback returns.

const std = @import("std");
const abi = @import("abi.zig");
const headers = @import("headers.zig");
const memory = @import("memory.zig");

pub const Error = error{HostRefused};

/// The pieces of a message are put together as they are. A format for each message would be a function for each in the
/// module.
pub const Pieces = []const []const u8;

fn log(level: abi.LogLevel, pieces: Pieces) void {
    const message = std.mem.concat(memory.call(), u8, pieces) catch "out of memory while logging";
    _ = abi.proxy_log(level, message.ptr, message.len);
}

pub fn info(pieces: Pieces) void {
    log(.info, pieces);
}

pub fn warn(pieces: Pieces) void {
    log(.warn, pieces);
}

pub fn err(pieces: Pieces) void {
    log(.err, pieces);
}

/// A number as a piece.
pub fn decimal(number: i64) []const u8 {
    var buffered: [20]u8 = undefined;
    var start = buffered.len;
    var rest = @abs(number);
    while (rest > 0 or start == buffered.len) : (rest /= 10) {
        start -= 1;
        buffered[start] = '0' + @as(u8, @intCast(rest % 10));
    }
    if (number < 0) {
        start -= 1;
        buffered[start] = '-';
    }
    return memory.call().dupe(u8, buffered[start..]) catch "?";
}

/// Null where the host knows no such header, property or buffer.
pub fn received(status: abi.Status, data: ?[*]const u8, size: usize) Error!?[]const u8 {
    return switch (status) {
        .ok => if (data) |bytes| bytes[0..size] else "",
        .not_found => null,
        else => error.HostRefused,
    };
}

/// The first `size` bytes of a buffer; of a body, those of the chunk that the callback is about.
pub fn buffer(which: abi.BufferType, size: usize) Error![]const u8 {
    if (size == 0) return "";
    var data: ?[*]const u8 = null;
    var length: usize = 0;
    const status = abi.proxy_get_buffer_bytes(which, 0, size, &data, &length);
    return try received(status, data, length) orelse "";
}

/// `path` has a NUL between its words.
pub fn property(path: []const u8) Error!?[]const u8 {
    var data: ?[*]const u8 = null;
    var length: usize = 0;
    const status = abi.proxy_get_property(path.ptr, path.len, &data, &length);
    return received(status, data, length);
}

/// Answers the request from here. `details` appears in access logs as the response code's details.
pub fn sendLocalResponse(
    status_code: u32,
    details: []const u8,
    body: []const u8,
    additional: []const headers.Header,
) (Error || std.mem.Allocator.Error)!void {
    const encoded = try headers.encode(memory.call(), additional);
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

/// Sends a request to a cluster of the host's; the answer comes to `onHttpCallResponse` under the id that this returns.
/// Refused where there is no such cluster.
pub fn httpCall(
    cluster: []const u8,
    request: []const headers.Header,
    timeout_ms: u32,
) (Error || std.mem.Allocator.Error)!u32 {
    const encoded = try headers.encode(memory.call(), request);
    const none = try headers.encode(memory.call(), &.{});
    var call_id: u32 = 0;
    const status = abi.proxy_http_call(
        cluster.ptr,
        cluster.len,
        encoded.ptr,
        encoded.len,
        null,
        0,
        none.ptr,
        none.len,
        timeout_ms,
        &call_id,
    );
    if (status != .ok) return error.HostRefused;
    return call_id;
}

/// Until the callback returns, the host's functions are about this stream.
pub fn actFor(stream_context_id: u32) void {
    if (abi.proxy_set_effective_context(stream_context_id) != .ok) warn(&.{"the stream is gone"});
}

/// The request that was paused goes on.
pub fn continueRequest() void {
    if (abi.proxy_continue_stream(.request) != .ok) warn(&.{"the request could not go on"});
}
