//! A plugin's life under the host: its callbacks, one configuration per plugin context, the rule matcher.
//!
//! Plugins that share a VM (same module, same `vm_id`) are separate plugin contexts in one memory, each with its own
//! configuration, so nothing here is a global setting.

const std = @import("std");
const abi = @import("abi.zig");
const host = @import("host.zig");
const memory = @import("memory.zig");
const rule_matcher = @import("rule_matcher.zig");

/// Exports the callbacks of `Plugin`, which has
/// - `Config` with `parse`, as the rule matcher wants it;
/// - `onRequestHeaders(*const Config) abi.Action`, called when a configuration applies to the request;
/// - `onResponseHeaders() void`, called for every response.
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
    @export(&callbacks.responseHeaders, .{ .name = "proxy_on_response_headers" });
    @export(&callbacks.done, .{ .name = "proxy_on_done" });
    @export(&callbacks.log, .{ .name = "proxy_on_log" });
    @export(&callbacks.delete, .{ .name = "proxy_on_delete" });
}

fn Callbacks(comptime Plugin: type) type {
    const Matcher = rule_matcher.RuleMatcher(Plugin.Config);
    const PluginContext = struct {
        arena: std.heap.ArenaAllocator,
        matcher: Matcher,
    };

    return struct {
        /// Configured plugin contexts, by their id.
        var plugins: std.AutoHashMapUnmanaged(u32, PluginContext) = .empty;
        /// Every living stream context and the plugin context it belongs to.
        var streams: std.AutoHashMapUnmanaged(u32, u32) = .empty;

        fn abiVersion() callconv(.c) void {}

        fn memoryAllocate(size: usize) callconv(.c) ?[*]u8 {
            return memory.allocateForHost(size);
        }

        fn contextCreate(context_id: u32, parent_context_id: u32) callconv(.c) void {
            if (parent_context_id == 0) return;
            // A stream that can't be remembered is one that the plugin does nothing for.
            streams.put(memory.heap, context_id, parent_context_id) catch {};
        }

        fn vmStart(_: u32, _: usize) callconv(.c) u32 {
            return 1;
        }

        fn configure(plugin_context_id: u32, configuration_size: usize) callconv(.c) u32 {
            memory.enter();
            defer memory.leave();
            load(plugin_context_id, configuration_size) catch |problem| {
                host.err("configuration refused: {s}", .{switch (problem) {
                    error.HostRefused => "the host did not hand it over",
                    error.NotJson => "it is not valid JSON",
                    else => |cause| rule_matcher.explain(cause),
                }});
                return 0;
            };
            return 1;
        }

        const LoadError = host.Error || rule_matcher.ParseError || error{NotJson};

        fn load(plugin_context_id: u32, configuration_size: usize) LoadError!void {
            const text = try host.pluginConfiguration(configuration_size);
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
                .duplicate_field_behavior = .use_last,
                .parse_numbers = false,
            }) catch |problem| switch (problem) {
                error.OutOfMemory => error.OutOfMemory,
                else => error.NotJson,
            };
        }

        fn requestHeaders(stream_context_id: u32, _: usize, _: u32) callconv(.c) abi.Action {
            memory.enter();
            defer memory.leave();
            const plugin_context_id = streams.get(stream_context_id) orelse return .proceed;
            const plugin = plugins.getPtr(plugin_context_id) orelse return .proceed;
            const request = describeRequest() catch {
                host.warn("a request property could not be read; the plugin does nothing for this request", .{});
                return .proceed;
            } orelse {
                host.warn("the request has no :authority; the plugin does nothing for it", .{});
                return .proceed;
            };
            const config = plugin.matcher.match(request) orelse return .proceed;
            return Plugin.onRequestHeaders(config);
        }

        /// Null for a request without `:authority`, which no configuration applies to, not even the global one.
        fn describeRequest() host.Error!?rule_matcher.Request {
            return .{
                .authority = try host.requestHeader(":authority") orelse return null,
                .route_name = try firstProperty(&.{ "route_name", "xds\x00route_name" }),
                .cluster_name = try firstProperty(&.{ "cluster_name", "xds\x00cluster_name" }),
            };
        }

        /// Higress' Envoy has the properties at the top level, as Envoy once did; today's Envoy has them below `xds`.
        fn firstProperty(paths: []const []const u8) host.Error![]const u8 {
            for (paths) |path| {
                if (try host.property(path)) |value| return value;
            }
            return "";
        }

        fn responseHeaders(_: u32, _: usize, _: u32) callconv(.c) abi.Action {
            memory.enter();
            defer memory.leave();
            Plugin.onResponseHeaders();
            return .proceed;
        }

        fn done(_: u32) callconv(.c) u32 {
            return 1;
        }

        fn log(_: u32) callconv(.c) void {}

        fn delete(context_id: u32) callconv(.c) void {
            if (streams.remove(context_id)) return;
            if (plugins.fetchRemove(context_id)) |removed| removed.value.arena.deinit();
        }
    };
}
