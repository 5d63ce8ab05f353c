//! Which of a plugin's configurations applies to a request: Higress' `_rules_` with `_match_route_`,
//! `_match_domain_`, `_match_service_` and `_match_route_prefix_`, over a global configuration.
//!
//! Imitates higress-group/wasm-go `pkg/matcher`; its recorded behaviour is `golden/rule-matcher.json`. It touches no
//! host function, so that the same code also runs natively.

const std = @import("std");
const scalar = @import("scalar.zig");

const Allocator = std.mem.Allocator;
const Value = std.json.Value;

pub const rules_key = "_rules_";
pub const route_key = "_match_route_";
pub const domain_key = "_match_domain_";
pub const service_key = "_match_service_";
pub const route_prefix_key = "_match_route_prefix_";
pub const plugin_id_key = "_plugin_id_";

const control_keys = [_][]const u8{ rules_key, route_key, domain_key, service_key, route_prefix_key, plugin_id_key };

/// A key that belongs to the matcher and not to the plugin.
pub fn isControlKey(key: []const u8) bool {
    for (control_keys) |control_key| {
        if (std.mem.eql(u8, key, control_key)) return true;
    }
    return false;
}

pub const ParseError = error{
    /// `_rules_` names no rule and there is no usable global configuration.
    NoRules,
    /// A rule has none of the four conditions.
    RuleWithoutCondition,
    /// The plugin refused a configuration and has said why.
    InvalidConfiguration,
    OutOfMemory,
};

pub fn explain(problem: ParseError) []const u8 {
    return switch (problem) {
        error.NoRules => "neither a usable global configuration nor a rule in " ++ rules_key,
        error.RuleWithoutCondition => "a rule needs at least one of " ++ route_key ++ ", " ++ domain_key ++ ", " ++
            service_key ++ " and " ++ route_prefix_key,
        error.InvalidConfiguration => "the plugin refused the configuration",
        error.OutOfMemory => "out of memory",
    };
}

/// What rules look at. A name that the request lacks is empty.
pub const Request = struct {
    authority: []const u8,
    route_name: []const u8 = "",
    cluster_name: []const u8 = "",
};

/// Conditions outside the rule's one category are ignored.
const Category = enum { route, route_and_service, domain, service, route_prefix };

const Conditions = struct {
    category: Category,
    routes: []const []const u8,
    domains: []const []const u8,
    services: []const []const u8,
    route_prefixes: []const []const u8,

    fn parse(arena: Allocator, rule: Value) ParseError!Conditions {
        const routes = try strings(arena, rule, route_key, .skip_empty);
        const domains = try strings(arena, rule, domain_key, .keep_empty);
        const services = try strings(arena, rule, service_key, .skip_empty);
        const route_prefixes = try strings(arena, rule, route_prefix_key, .skip_empty);
        const category: Category = if (routes.len > 0)
            (if (services.len > 0) .route_and_service else .route)
        else if (domains.len > 0)
            .domain
        else if (services.len > 0)
            .service
        else if (route_prefixes.len > 0)
            .route_prefix
        else
            return error.RuleWithoutCondition;
        return .{
            .category = category,
            .routes = routes,
            .domains = domains,
            .services = services,
            .route_prefixes = route_prefixes,
        };
    }

    fn match(self: Conditions, request: Request) bool {
        return switch (self.category) {
            .route => contains(self.routes, request.route_name),
            .route_and_service => contains(self.routes, request.route_name) and
                matchesService(self.services, request.cluster_name),
            .domain => matchesDomain(self.domains, withoutPort(request.authority)),
            .service => matchesService(self.services, request.cluster_name),
            .route_prefix => startsWithAny(self.route_prefixes, request.route_name),
        };
    }
};

/// Whether a configuration has rules at all, whatever is in them.
pub fn hasRules(configuration: Value) bool {
    const rules = switch (configuration) {
        .object => |object| object.get(rules_key) orelse return false,
        else => return false,
    };
    return switch (rules) {
        .null => false,
        .array => |array| array.items.len > 0,
        else => true,
    };
}

/// `Config` has `parse(arena, value) error{InvalidConfiguration, OutOfMemory}!Config`, called with the whole
/// configuration for the global one and with the whole rule for a rule's; nothing is inherited between them. Where it
/// also has `parseRule(arena, value, global: ?*const Config)`, that one is called for a rule's.
pub fn RuleMatcher(comptime Config: type) type {
    return struct {
        const Self = @This();
        const Rule = struct { conditions: Conditions, config: Config };

        /// Which configuration applies to a request. It outlives the matcher: one that was parsed anew from the same
        /// configuration has the same choices.
        pub const Choice = union(enum) { nothing, global, rule: usize };

        global: ?Config = null,
        rules: []const Rule = &.{},

        /// Everything kept is allocated in `arena`; strings of `configuration` are kept by reference.
        pub fn parse(arena: Allocator, configuration: Value) ParseError!Self {
            const object = switch (withoutPluginId(configuration)) {
                .object => |object| object,
                else => return .{ .global = try Config.parse(arena, configuration) },
            };
            const own_keys = object.count() - @intFromBool(object.contains(rules_key));
            if (object.count() == 0) return .{ .global = try Config.parse(arena, .{ .object = object }) };

            var matcher: Self = .{};
            if (own_keys > 0) {
                // A bad global configuration beside good rules only loses the global one.
                matcher.global = Config.parse(arena, .{ .object = object }) catch |problem| switch (problem) {
                    error.InvalidConfiguration => null,
                    error.OutOfMemory => return error.OutOfMemory,
                };
            }
            const rules = try listed(arena, object.get(rules_key) orelse .null);
            if (rules.len == 0) {
                if (matcher.global == null) return error.NoRules;
                return matcher;
            }
            const parsed = try arena.alloc(Rule, rules.len);
            for (rules, parsed) |rule, *slot| {
                slot.conditions = try Conditions.parse(arena, rule);
                slot.config = if (@hasDecl(Config, "parseRule"))
                    try Config.parseRule(arena, rule, if (matcher.global) |*global| global else null)
                else
                    try Config.parse(arena, rule);
            }
            matcher.rules = parsed;
            return matcher;
        }

        /// The first listed rule that matches, else the global configuration, else nothing.
        pub fn choose(self: *const Self, request: Request) Choice {
            for (self.rules, 0..) |rule, index| {
                if (rule.conditions.match(request)) return .{ .rule = index };
            }
            return if (self.global == null) .nothing else .global;
        }

        pub fn chosen(self: *const Self, choice: Choice) ?*const Config {
            return switch (choice) {
                .nothing => null,
                .global => if (self.global) |*global| global else null,
                .rule => |index| if (index < self.rules.len) &self.rules[index].config else null,
            };
        }
    };
}

/// `_plugin_id_` is no configuration; where it has a value it is taken out before anything is counted.
fn withoutPluginId(configuration: Value) Value {
    switch (configuration) {
        .object => |object| {
            const id = object.get(plugin_id_key) orelse return configuration;
            if (id == .null or (id == .string and id.string.len == 0)) return configuration;
            var rest = object;
            _ = rest.orderedRemove(plugin_id_key);
            return .{ .object = rest };
        },
        else => return configuration,
    }
}

/// A list's items; a single value counts as a list of one, null as an empty list.
fn listed(arena: Allocator, value: Value) Allocator.Error![]const Value {
    return switch (value) {
        .null => &.{},
        .array => |array| array.items,
        else => try arena.dupe(Value, &.{value}),
    };
}

const EmptyStrings = enum { skip_empty, keep_empty };

fn strings(arena: Allocator, rule: Value, key: []const u8, empty: EmptyStrings) Allocator.Error![]const []const u8 {
    const value = switch (rule) {
        .object => |object| object.get(key) orelse return &.{},
        else => return &.{},
    };
    const items = try listed(arena, value);
    var texts: std.ArrayList([]const u8) = .empty;
    for (items) |item| {
        const text = try scalar.text(arena, item) orelse if (item == .null) "" else never_a_name;
        if (text.len > 0 or empty == .keep_empty) try texts.append(arena, text);
    }
    return texts.items;
}

/// Stands for a list or an object among names: a condition, but one that no name fulfils.
const never_a_name = "\x00";

fn contains(names: []const []const u8, name: []const u8) bool {
    for (names) |candidate| {
        if (std.mem.eql(u8, candidate, name)) return true;
    }
    return false;
}

fn startsWithAny(prefixes: []const []const u8, name: []const u8) bool {
    for (prefixes) |prefix| {
        if (std.mem.startsWith(u8, name, prefix)) return true;
    }
    return false;
}

/// `*suffix`, `prefix*` or exact, case-sensitive; a leading `*` wins over a trailing one.
fn matchesDomain(domains: []const []const u8, host: []const u8) bool {
    for (domains) |domain| {
        const matches = if (std.mem.startsWith(u8, domain, "*"))
            std.mem.endsWith(u8, host, domain[1..])
        else if (std.mem.endsWith(u8, domain, "*"))
            std.mem.startsWith(u8, host, domain[0 .. domain.len - 1])
        else
            std.mem.eql(u8, host, domain);
        if (matches) return true;
    }
    return false;
}

/// A colon inside the brackets of an IPv6 address starts no port.
fn withoutPort(authority: []const u8) []const u8 {
    const colon = std.mem.lastIndexOfScalar(u8, authority, ':') orelse return authority;
    const bracket = std.mem.lastIndexOfScalar(u8, authority, ']') orelse return authority[0..colon];
    return if (bracket < colon) authority[0..colon] else authority;
}

/// `cluster_name` is Istio's `direction|port|subset|host`; a service is `host` or `host:port`.
fn matchesService(services: []const []const u8, cluster_name: []const u8) bool {
    var parts: [4][]const u8 = undefined;
    var count: usize = 0;
    var iterator = std.mem.splitScalar(u8, cluster_name, '|');
    while (iterator.next()) |piece| : (count += 1) {
        if (count == parts.len) return false;
        parts[count] = piece;
    }
    if (count != parts.len) return false;
    const port = parts[1];
    const host = parts[3];
    for (services) |service| {
        if (std.mem.eql(u8, service, host)) return true;
        const colon = std.mem.lastIndexOfScalar(u8, service, ':') orelse continue;
        if (std.mem.eql(u8, service[0..colon], host) and std.mem.eql(u8, service[colon + 1 ..], port)) return true;
    }
    return false;
}
