//! One configuration of custom-response: the responses it has, and which status each of them takes the place of.
//!
//! Keys and their meaning are those of Higress' plugin of the same name.

const std = @import("std");
const shared = @import("shared");

const configuration = shared.configuration;
const Allocator = std.mem.Allocator;
const Header = shared.headers.Header;
const Text = configuration.Text;

pub const Config = struct {
    /// Stands for every request; null where there are responses by status, or no other one.
    always: ?Response,
    by_status: []const ByStatus,

    const ByStatus = struct { pattern: StatusPattern, response: Response };

    /// Without `rules`, the configuration itself is the only response.
    pub fn parse(arena: Allocator, value: std.json.Value) configuration.Problem!Config {
        const listed = value == .object and (value.object.get("rules") orelse .null) != .null;
        const responses = if (listed)
            (try configuration.read(ListKeys, arena, value)).rules
        else
            try arena.dupe(ResponseKeys, &.{try configuration.read(ResponseKeys, arena, value)});

        var always: ?Response = null;
        var by_status: std.ArrayList(ByStatus) = .empty;
        for (responses) |keys| {
            const response = try Response.from(arena, keys);
            if (keys.enable_on_status.len == 0 and always == null) always = response;
            for (keys.enable_on_status) |status| {
                const pattern = try StatusPattern.parse(arena, status.text);
                for (by_status.items) |earlier| {
                    if (std.mem.eql(u8, earlier.pattern.text, pattern.text)) {
                        return configuration.refuse(&.{ "enable_on_status names ", pattern.text, " twice" });
                    }
                }
                try by_status.append(arena, .{ .pattern = pattern, .response = response });
            }
        }
        if (always == null and by_status.items.len == 0) return configuration.refuse(&.{"rules has no response in it"});
        return .{ .always = if (by_status.items.len == 0) always else null, .by_status = by_status.items };
    }

    /// The response in place of one with that status: an exact number before a pattern, else the first that is listed.
    pub fn insteadOf(self: *const Config, status: []const u8) ?*const Response {
        for (self.by_status) |*candidate| {
            if (std.mem.eql(u8, candidate.pattern.text, status)) return &candidate.response;
        }
        for (self.by_status) |*candidate| {
            if (candidate.pattern.match(status)) return &candidate.response;
        }
        return null;
    }
};

const ListKeys = struct { rules: []const ResponseKeys };

const ResponseKeys = struct {
    status_code: Text = .{ .text = "200" },
    headers: []const []const u8 = &.{},
    body: []const u8 = "",
    enable_on_status: []const Text = &.{},
};

pub const Response = struct {
    status_code: u32,
    headers: []const Header,
    body: []const u8,

    fn from(arena: Allocator, keys: ResponseKeys) configuration.Problem!Response {
        var headers: std.ArrayList(Header) = .empty;
        var content_type: []const u8 = "";
        for (keys.headers) |text| {
            const equals = std.mem.indexOfScalar(u8, text, '=') orelse {
                return configuration.refuse(&.{ "headers has to be a list of key=value, not ", text });
            };
            const name = std.mem.trim(u8, text[0..equals], &std.ascii.whitespace);
            const value = std.mem.trim(u8, text[equals + 1 ..], &std.ascii.whitespace);
            if (std.ascii.eqlIgnoreCase(name, "content-type")) {
                content_type = value;
            } else if (!std.ascii.eqlIgnoreCase(name, "content-length")) {
                try headers.append(arena, .{ .name = name, .value = value });
            }
        }
        if (content_type.len == 0 and keys.body.len > 0) {
            const is_json = try std.json.validate(arena, keys.body);
            content_type = if (is_json) "application/json; charset=utf-8" else "text/plain; charset=utf-8";
        }
        if (content_type.len > 0) try headers.append(arena, .{ .name = "content-type", .value = content_type });
        return .{ .status_code = try statusCode(keys.status_code.text), .headers = headers.items, .body = keys.body };
    }
};

fn statusCode(text: []const u8) configuration.Problem!u32 {
    const code = std.fmt.parseInt(u32, text, 10) catch 0;
    if (code >= 200 and code < 600) return code;
    return configuration.refuse(&.{ "status_code has to be a whole number from 200 to 599, not ", text });
}

/// A number, or three characters of which some are digits and some `x`, which is any digit.
const StatusPattern = struct {
    text: []const u8,

    fn parse(arena: Allocator, text: []const u8) configuration.Problem!StatusPattern {
        const lower = try std.ascii.allocLowerString(arena, text);
        const digits = count(lower, std.ascii.isDigit);
        const wild = std.mem.countScalar(u8, lower, 'x');
        if (digits == lower.len and digits > 0) return .{ .text = lower };
        if (lower.len == 3 and wild > 0 and digits > 0 and wild + digits == lower.len) return .{ .text = lower };
        const expected = "enable_on_status has to be a list of statuses such as 404 or 4xx, not ";
        return configuration.refuse(&.{ expected, text });
    }

    fn match(self: StatusPattern, status: []const u8) bool {
        if (self.text.len != status.len) return false;
        for (self.text, status) |wanted, digit| {
            if (wanted != 'x' and wanted != digit) return false;
        }
        return true;
    }
};

fn count(text: []const u8, comptime is: fn (u8) bool) usize {
    var found: usize = 0;
    for (text) |character| found += @intFromBool(is(character));
    return found;
}
