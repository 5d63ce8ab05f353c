//! transformer: changes the headers of requests and responses and the query of requests by configured rules.

const std = @import("std");
const shared = @import("shared");
const configuration = @import("config.zig");
const operations = @import("operations.zig");

const headers = shared.headers;
const host = shared.host;
const memory = shared.memory;
const Allocator = std.mem.Allocator;
const Values = operations.Values;

pub const panic = std.debug.no_panic;

const Problem = host.Error || Allocator.Error;

const Transformer = struct {
    pub const name = "transformer";
    pub const Config = configuration.Config;
    pub const Stream = struct {
        /// Owned.
        origin: operations.Origin = .{},

        pub fn deinit(self: *Stream) void {
            memory.heap.free(self.origin.host);
            memory.heap.free(self.origin.path);
        }
    };

    pub fn onRequestHeaders(config: *const Config, stream: *Stream) shared.abi.Action {
        transformRequest(config, stream) catch |problem| {
            host.warn(&.{ "the request could not be transformed: ", @errorName(problem) });
        };
        return .proceed;
    }

    pub fn onResponseHeaders(config: *const Config, stream: *Stream) shared.abi.Action {
        transformResponse(config, stream) catch |problem| {
            host.warn(&.{ "the response could not be transformed: ", @errorName(problem) });
        };
        return .proceed;
    }

    fn transformRequest(config: *const Config, stream: *Stream) Problem!void {
        const path = try headers.request.get(":path") orelse "";
        stream.origin = .{
            .host = try memory.heap.dupe(u8, try headers.request.get(":authority") orelse ""),
            .path = try memory.heap.dupe(u8, path),
        };
        var fields = try readHeaders(headers.request);
        var parameters = try readQuery(path);
        try operations.apply(config.request_headers, .headers, &fields, &parameters, stream.origin);
        try operations.apply(config.request_query, .query, &parameters, &fields, stream.origin);
        if (config.request_query.len > 0) try fields.set(":path", &.{try withQuery(path, &parameters)});
        writeHeaders(headers.request, &fields);
    }

    fn transformResponse(config: *const Config, stream: *const Stream) Problem!void {
        if (config.response_headers.len == 0) return;
        var fields = try readHeaders(headers.response);
        try operations.apply(config.response_headers, .headers, &fields, null, stream.origin);
        writeHeaders(headers.response, &fields);
    }
};

fn readHeaders(map: headers.Map) Problem!Values {
    var values: Values = .{ .allocator = memory.call() };
    for (try map.all()) |header| try values.append(header.name, &.{header.value});
    values.settle();
    return values;
}

fn writeHeaders(map: headers.Map, values: *const Values) void {
    for (values.entries.items) |entry| {
        if (!entry.changed) continue;
        if (entry.values.len == 1) {
            map.replace(entry.key, entry.values[0]);
            continue;
        }
        map.remove(entry.key);
        for (entry.values) |value| map.add(entry.key, value);
    }
}

fn readQuery(path: []const u8) Allocator.Error!Values {
    var values: Values = .{ .allocator = memory.call() };
    for (try shared.query.parse(memory.call(), path)) |parameter| try values.append(parameter.key, &.{parameter.value});
    values.settle();
    return values;
}

/// The path with the parameters sorted by name, as Go's url.Values are encoded.
fn withQuery(path: []const u8, values: *Values) Allocator.Error![]const u8 {
    std.mem.sort(Values.Entry, values.entries.items, {}, struct {
        fn before(_: void, left: Values.Entry, right: Values.Entry) bool {
            return std.mem.order(u8, left.key, right.key) == .lt;
        }
    }.before);
    var text: std.ArrayList(u8) = .empty;
    try text.appendSlice(memory.call(), shared.query.withoutQuery(path));
    var separator: u8 = '?';
    for (values.entries.items) |entry| {
        for (entry.values) |value| {
            try text.append(memory.call(), separator);
            try shared.query.append(&text, memory.call(), .{ .key = entry.key, .value = value });
            separator = '&';
        }
    }
    return text.items;
}

comptime {
    shared.plugin.exportPlugin(Transformer);
}
