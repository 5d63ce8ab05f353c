//! request-block: refuses requests whose URL or headers contain configured words.

const std = @import("std");
const shared = @import("shared");
const configuration = @import("config.zig");

const headers = shared.headers;
const host = shared.host;
const memory = shared.memory;

pub const panic = std.debug.no_panic;

const RequestBlock = struct {
    pub const name = "request-block";
    pub const Config = configuration.Config;
    pub const Stream = struct {};

    pub fn onRequestHeaders(config: *const Config, _: *Stream) shared.abi.Action {
        const details = reasonToBlock(config) catch |problem| {
            host.warn(&.{ "the request could not be read and is let through: ", @errorName(problem) });
            return .proceed;
        } orelse return .proceed;
        return shared.plugin.answer(@This(), config.blocked_code, details, config.blocked_message, &.{});
    }
};

/// The response code details of the rule that blocks, null when none does. The details are those of Higress' plugin.
fn reasonToBlock(config: *const configuration.Config) !?[]const u8 {
    if (config.block_urls.len > 0) {
        const url = try inCase(config, try headers.request.get(":path") orelse return error.PathMissing);
        for (config.block_exact_urls) |exact| {
            if (std.mem.eql(u8, url, exact)) return "request-block.url_blocked.exact";
        }
        if (containsAny(url, config.block_urls)) return "request-block.url_blocked.keyword";
    }
    if (config.block_headers.len > 0) {
        const text = try inCase(config, try headerText());
        if (containsAny(text, config.block_headers)) return "request-block.body_blocked";
    }
    return null;
}

/// All names and values, one a line, in one text: that is what a blocked word is looked for in.
fn headerText() ![]const u8 {
    var text: std.ArrayList(u8) = .empty;
    for (try headers.request.all(), 0..) |header, index| {
        if (index > 0) try text.append(memory.call(), '\n');
        try text.appendSlice(memory.call(), header.name);
        try text.append(memory.call(), '\n');
        try text.appendSlice(memory.call(), header.value);
    }
    return text.items;
}

fn inCase(config: *const configuration.Config, text: []const u8) std.mem.Allocator.Error![]const u8 {
    return if (config.case_sensitive) text else std.ascii.allocLowerString(memory.call(), text);
}

fn containsAny(text: []const u8, words: []const []const u8) bool {
    for (words) |word| {
        if (std.mem.indexOf(u8, text, word) != null) return true;
    }
    return false;
}

comptime {
    shared.plugin.exportPlugin(RequestBlock);
}
