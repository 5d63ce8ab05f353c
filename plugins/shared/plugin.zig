//! A plugin's life under the host: its callbacks, one configuration per plugin context, the rule matcher, what is
//! kept for each request, the version header.
//!
//! Plugins that share a VM (same module, same `vm_id`) are separate plugin contexts in one memory, each with its own
//! configuration, so nothing here is a global setting.

const std = @import("std");
const abi = @import("abi.zig");
const headers = @import("headers.zig");
const host = @import("host.zig");
const memory = @import("memory.zig");
const rule_matcher = @import("rule_matcher.zig");
const version_stamp = @import("version_stamp.zig");

/// A piece of a body. The last one may be empty.
pub const Chunk = struct {
    which: abi.BufferType,
    size: usize,
    end_of_stream: bool,

    pub fn bytes(self: Chunk) host.Error![]const u8 {
        return host.buffer(self.which, self.size);
    }
};

/// Exports the callbacks of `Plugin`, which has
/// - `name`, in the version header and, by convention, in details of responses;
/// - `Config` with `parse`, as the rule matcher wants it;
/// - `Stream`, what is kept from one callback to the next for a request, made by `.{}`, with a `deinit` if it owns
///   anything;
/// - `onRequestHeaders(*const Config, *Stream) abi.Action`, called when a configuration applies to the request, and any
///   of `onRequestBody(*const Config, *Stream, Chunk)`, `onResponseHeaders(*const Config, *Stream)` and
///   `onResponseBody(*const Config, *Stream, Chunk)`, called with the same configuration.
///
/// One that asks somebody about each request has, instead of `onRequestHeaders`, `call(*const Config) ?u32`, the id of
/// the call that was made, `onHttpCallResponse(*const Config, *Stream, answered: bool)`, where not answered is one that
/// timed out or met nobody, and `withoutAnswer(*const Config, *Stream) abi.Action` for a call that was not made.
pub fn exportPlugin(comptime Plugin: type) void {
    const callbacks = Callbacks(Plugin);
    @export(&callbacks.abiVersion, .{ .name = "proxy_abi_version_0_2_1" });
    @export(&callbacks.memoryAllocate, .{ .name = "proxy_on_memory_allocate" });
    // Envoy's host looks for the older name first.
    @export(&callbacks.memoryAllocate, .{ .name = "malloc" });
    @export(&callbacks.contextCreate, .{ .name = "proxy_on_context_create" });
    @export(&callbacks.vmStart, .{ .name = "proxy_on_vm_start" });
    @export(&callbacks.configure, .{ .name = "proxy_on_configure" });
    @export(&callbacks.requestHeaders, .{ .name = "proxy_on_request_headers" });
    if (@hasDecl(Plugin, "onRequestBody")) @export(&callbacks.requestBody, .{ .name = "proxy_on_request_body" });
    @export(&callbacks.responseHeaders, .{ .name = "proxy_on_response_headers" });
    if (@hasDecl(Plugin, "onResponseBody")) @export(&callbacks.responseBody, .{ .name = "proxy_on_response_body" });
    if (@hasDecl(Plugin, "onHttpCallResponse")) {
        @export(&callbacks.httpCallResponse, .{ .name = "proxy_on_http_call_response" });
    }
    @export(&callbacks.done, .{ .name = "proxy_on_done" });
    @export(&callbacks.log, .{ .name = "proxy_on_log" });
    @export(&callbacks.delete, .{ .name = "proxy_on_delete" });
}

/// Answers the request from here, the version among the headers; to be returned by a callback of `Plugin`.
///
/// The host sends the response down the filter chain, where the version header is replaced, or, where the answer
/// takes the place of a response, directly.
pub fn answer(
    comptime Plugin: type,
    status_code: u32,
    details: []const u8,
    body: []const u8,
    additional: []const headers.Header,
) abi.Action {
    send(Plugin, status_code, details, body, additional) catch |problem| {
        host.err(&.{ "the response could not be sent: ", @errorName(problem) });
    };
    return .pause;
}

fn send(
    comptime Plugin: type,
    status_code: u32,
    details: []const u8,
    body: []const u8,
    additional: []const headers.Header,
) (host.Error || std.mem.Allocator.Error)!void {
    const all = try memory.call().alloc(headers.Header, additional.len + 1);
    @memcpy(all[0..additional.len], additional);
    all[additional.len] = .{ .name = versionHeader(Plugin), .value = version_stamp.version() };
    try host.sendLocalResponse(status_code, details, body, all);
}

fn versionHeader(comptime Plugin: type) []const u8 {
    return "x-" ++ Plugin.name ++ "-version";
}

fn Callbacks(comptime Plugin: type) type {
    const Matcher = rule_matcher.RuleMatcher(Plugin.Config);
    const PluginContext = struct {
        arena: std.heap.ArenaAllocator,
        matcher: Matcher,
    };
    const StreamContext = struct {
        plugin_context_id: u32,
        /// Made once, at the request's headers: what the plugin changes in them does not change it.
        choice: Matcher.Choice = .nothing,
        stream: Plugin.Stream = .{},
    };
    const Applied = struct { config: *const Plugin.Config, stream: *Plugin.Stream };

    return struct {
        /// Configured plugin contexts, by their id.
        var plugins: std.AutoHashMapUnmanaged(u32, PluginContext) = .empty;
        /// Every living stream context.
        var streams: std.AutoHashMapUnmanaged(u32, StreamContext) = .empty;
        /// Which stream made each call that has no answer yet.
        var calls: std.AutoHashMapUnmanaged(u32, u32) = .empty;

        fn abiVersion() callconv(.c) void {}

        fn memoryAllocate(size: usize) callconv(.c) ?[*]u8 {
            return memory.allocateForHost(size);
        }

        fn contextCreate(context_id: u32, parent_context_id: u32) callconv(.c) void {
            if (parent_context_id == 0) return;
            // A stream that can't be remembered is one that the plugin does nothing for.
            streams.put(memory.heap, context_id, .{ .plugin_context_id = parent_context_id }) catch {};
        }

        fn vmStart(_: u32, _: usize) callconv(.c) u32 {
            return 1;
        }

        fn configure(plugin_context_id: u32, configuration_size: usize) callconv(.c) u32 {
            memory.enter();
            defer memory.leave();
            load(plugin_context_id, configuration_size) catch |problem| {
                host.err(&.{ "configuration refused: ", switch (problem) {
                    error.HostRefused => "the host did not hand it over",
                    error.NotJson => "it is not valid JSON",
                    else => |cause| rule_matcher.explain(cause),
                } });
                return 0;
            };
            return 1;
        }

        const LoadError = host.Error || rule_matcher.ParseError || error{NotJson};

        fn load(plugin_context_id: u32, configuration_size: usize) LoadError!void {
            const text = try host.buffer(.plugin_configuration, configuration_size);
            var arena: std.heap.ArenaAllocator = .init(memory.heap);
            errdefer arena.deinit();
            const matcher = try Matcher.parse(arena.allocator(), try parseJson(arena.allocator(), text));
            const slot = try plugins.getOrPut(memory.heap, plugin_context_id);
            if (slot.found_existing) slot.value_ptr.arena.deinit();
            slot.value_ptr.* = .{ .arena = arena, .matcher = matcher };
        }

        /// No configuration at all reads as null.
        fn parseJson(arena: std.mem.Allocator, text: []const u8) LoadError!std.json.Value {
            if (text.len == 0) return .null;
            // Numbers stay as written: a plugin decides what it takes for one.
            return std.json.parseFromSliceLeaky(std.json.Value, arena, text, .{
                .duplicate_field_behavior = .use_first,
                .parse_numbers = false,
            }) catch |problem| switch (problem) {
                error.OutOfMemory => error.OutOfMemory,
                else => error.NotJson,
            };
        }

        fn requestHeaders(stream_context_id: u32, _: usize, _: u32) callconv(.c) abi.Action {
            memory.enter();
            defer memory.leave();
            choose(stream_context_id) catch {
                host.warn(&.{"a request property could not be read; the plugin does nothing for this request"});
            };
            const applied = find(stream_context_id) orelse return .proceed;
            if (@hasDecl(Plugin, "onHttpCallResponse")) {
                const made = Plugin.call(applied.config) orelse return Plugin.withoutAnswer(applied.config, applied.stream);
                calls.put(memory.heap, made, stream_context_id) catch {
                    return Plugin.withoutAnswer(applied.config, applied.stream);
                };
                return .pause;
            }
            return Plugin.onRequestHeaders(applied.config, applied.stream);
        }

        fn requestBody(stream_context_id: u32, size: usize, end_of_stream: u32) callconv(.c) abi.Action {
            memory.enter();
            defer memory.leave();
            const applied = find(stream_context_id) orelse return .proceed;
            Plugin.onRequestBody(applied.config, applied.stream, chunk(.http_request_body, size, end_of_stream));
            return .proceed;
        }

        fn responseHeaders(stream_context_id: u32, _: usize, _: u32) callconv(.c) abi.Action {
            memory.enter();
            defer memory.leave();
            headers.response.replace(versionHeader(Plugin), version_stamp.version());
            if (@hasDecl(Plugin, "onResponseHeaders")) {
                const applied = find(stream_context_id) orelse return .proceed;
                return Plugin.onResponseHeaders(applied.config, applied.stream);
            }
            return .proceed;
        }

        fn responseBody(stream_context_id: u32, size: usize, end_of_stream: u32) callconv(.c) abi.Action {
            memory.enter();
            defer memory.leave();
            const applied = find(stream_context_id) orelse return .proceed;
            Plugin.onResponseBody(applied.config, applied.stream, chunk(.http_response_body, size, end_of_stream));
            return .proceed;
        }

        /// The host tells the plugin context, whichever stream called; what follows is to be about that stream.
        fn httpCallResponse(_: u32, call_id: u32, header_count: u32, _: usize, _: u32) callconv(.c) void {
            memory.enter();
            defer memory.leave();
            const call = calls.fetchRemove(call_id) orelse return;
            const applied = find(call.value) orelse return;
            host.actFor(call.value);
            Plugin.onHttpCallResponse(applied.config, applied.stream, header_count > 0);
        }

        fn chunk(which: abi.BufferType, size: usize, end_of_stream: u32) Chunk {
            return .{ .which = which, .size = size, .end_of_stream = end_of_stream != 0 };
        }

        /// Lets the rules decide. A request without `:authority` gets nothing, not even the global configuration.
        fn choose(stream_context_id: u32) host.Error!void {
            const context = streams.getPtr(stream_context_id) orelse return;
            const plugin = plugins.getPtr(context.plugin_context_id) orelse return;
            const authority = try headers.request.get(":authority") orelse {
                return host.warn(&.{"the request has no :authority; the plugin does nothing for it"});
            };
            context.choice = plugin.matcher.choose(.{
                .authority = authority,
                .route_name = try firstProperty(&.{ "route_name", "xds\x00route_name" }),
                .cluster_name = try firstProperty(&.{ "cluster_name", "xds\x00cluster_name" }),
            });
        }

        /// Higress' Envoy has the properties at the top level, as Envoy once did; today's Envoy has them below `xds`.
        fn firstProperty(paths: []const []const u8) host.Error![]const u8 {
            for (paths) |path| {
                const value = try host.property(path) orelse continue;
                if (value.len > 0) return value;
            }
            return "";
        }

        fn find(stream_context_id: u32) ?Applied {
            const context = streams.getPtr(stream_context_id) orelse return null;
            const plugin = plugins.getPtr(context.plugin_context_id) orelse return null;
            const config = plugin.matcher.chosen(context.choice) orelse return null;
            return .{ .config = config, .stream = &context.stream };
        }

        fn done(_: u32) callconv(.c) u32 {
            return 1;
        }

        fn log(_: u32) callconv(.c) void {}

        fn delete(context_id: u32) callconv(.c) void {
            if (streams.fetchRemove(context_id)) |removed| {
                var context = removed.value;
                if (@hasDecl(Plugin.Stream, "deinit")) context.stream.deinit();
                return;
            }
            if (plugins.fetchRemove(context_id)) |removed| removed.value.arena.deinit();
        }
    };
}
