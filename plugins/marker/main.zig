//! marker: does nothing but say on every response which version of it is running. A few hundred bytes, so that what
//! is measured with it is the way there, and not the module.

const std = @import("std");
const shared = @import("shared");
const abi = shared.abi;

const version_header = "x-marker-version";

pub const panic = std.debug.no_panic;

/// The host writes configuration and header values here; this plugin asks for none.
var scratch: [64]u8 = undefined;

export fn proxy_abi_version_0_2_1() void {}

export fn proxy_on_memory_allocate(size: usize) ?[*]u8 {
    return if (size <= scratch.len) &scratch else null;
}

export fn proxy_on_response_headers(_: u32, _: u32, _: u32) abi.Action {
    const version = shared.version_stamp.version();
    _ = abi.proxy_replace_header_map_value(
        .http_response_headers,
        version_header,
        version_header.len,
        version.ptr,
        version.len,
    );
    return .proceed;
}
