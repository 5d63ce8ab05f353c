//! Proxy-Wasm ABI 0.2.1 as the specification words it: the host's functions, its numbers, nothing of ours.

pub const Status = enum(u32) {
    ok = 0,
    not_found = 1,
    bad_argument = 2,
    serialization_failure = 3,
    parse_failure = 4,
    invalid_memory_access = 6,
    empty = 7,
    cas_mismatch = 8,
    internal_failure = 10,
    unimplemented = 12,
    _,
};

pub const LogLevel = enum(u32) { trace = 0, debug = 1, info = 2, warn = 3, err = 4, critical = 5 };

/// What a header or body callback returns.
pub const Action = enum(u32) { proceed = 0, pause = 1 };

pub const BufferType = enum(u32) {
    http_request_body = 0,
    http_response_body = 1,
    http_call_response_body = 4,
    vm_configuration = 6,
    plugin_configuration = 7,
};

pub const MapType = enum(u32) { http_request_headers = 0, http_response_headers = 2, http_call_response_headers = 6 };

pub const StreamType = enum(u32) { request = 0, response = 1 };

/// `grpc_status` of a local response that is not gRPC.
pub const no_grpc_status: u32 = 0xffff_ffff;

pub extern "env" fn proxy_log(level: LogLevel, message: [*]const u8, message_size: usize) Status;

pub extern "env" fn proxy_get_buffer_bytes(
    buffer: BufferType,
    start: usize,
    max_size: usize,
    return_value: *?[*]const u8,
    return_size: *usize,
) Status;

pub extern "env" fn proxy_get_header_map_pairs(
    map: MapType,
    return_pairs: *?[*]const u8,
    return_size: *usize,
) Status;

pub extern "env" fn proxy_get_header_map_value(
    map: MapType,
    key: [*]const u8,
    key_size: usize,
    return_value: *?[*]const u8,
    return_size: *usize,
) Status;

pub extern "env" fn proxy_replace_header_map_value(
    map: MapType,
    key: [*]const u8,
    key_size: usize,
    value: [*]const u8,
    value_size: usize,
) Status;

pub extern "env" fn proxy_add_header_map_value(
    map: MapType,
    key: [*]const u8,
    key_size: usize,
    value: [*]const u8,
    value_size: usize,
) Status;

pub extern "env" fn proxy_remove_header_map_value(map: MapType, key: [*]const u8, key_size: usize) Status;

pub extern "env" fn proxy_get_property(
    path: [*]const u8,
    path_size: usize,
    return_value: *?[*]const u8,
    return_size: *usize,
) Status;

pub extern "env" fn proxy_send_local_response(
    status_code: u32,
    details: ?[*]const u8,
    details_size: usize,
    body: ?[*]const u8,
    body_size: usize,
    headers: ?[*]const u8,
    headers_size: usize,
    grpc_status: u32,
) Status;

/// `upstream` is the name of a cluster; `headers` and `trailers` are serialised maps.
pub extern "env" fn proxy_http_call(
    upstream: [*]const u8,
    upstream_size: usize,
    headers: ?[*]const u8,
    headers_size: usize,
    body: ?[*]const u8,
    body_size: usize,
    trailers: ?[*]const u8,
    trailers_size: usize,
    timeout_milliseconds: u32,
    return_call_id: *u32,
) Status;

pub extern "env" fn proxy_continue_stream(stream: StreamType) Status;

pub extern "env" fn proxy_set_effective_context(context_id: u32) Status;
