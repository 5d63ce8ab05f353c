//! header-loop: twenty times over, sets a header of the request, reads it and takes it away again. It is there to be
//! measured: sixty calls to the host and nothing else, the same in every language that it is written in
//! (examples/header-loop).

const std = @import("std");
const shared = @import("shared");
const abi = shared.abi;
const headers = shared.headers;
const host = shared.host;
const memory = shared.memory;

const rounds = 20;
const looped_header = "x-header-loop";
const looped_value = "there and back";
const version_header = "x-header-loop-version";

pub const panic = std.debug.no_panic;

export fn proxy_abi_version_0_2_1() void {}

export fn proxy_on_memory_allocate(size: usize) ?[*]u8 {
    return memory.allocateForHost(size);
}

export fn proxy_on_request_headers(_: u32, _: u32, _: u32) abi.Action {
    memory.enter();
    defer memory.leave();
    for (0..rounds) |_| {
        headers.request.replace(looped_header, looped_value);
        const found = headers.request.get(looped_header) catch null orelse "";
        if (!std.mem.eql(u8, found, looped_value)) host.err(&.{ "the header reads ", found });
        headers.request.remove(looped_header);
    }
    return .proceed;
}

export fn proxy_on_response_headers(_: u32, _: u32, _: u32) abi.Action {
    headers.response.replace(version_header, shared.version_stamp.version());
    return .proceed;
}
