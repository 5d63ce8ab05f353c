//! Reading a configuration: JSON into a struct whose fields are the keys and whose defaults are those of the keys.
//!
//! Fields are booleans, strings, whole numbers (i64), `Text`, enums, optionals, lists and structs of these; one without
//! a default is required. `null` counts as absent. Unknown keys are warned of; a value of another type is refused, and
//! why is in the log.

const std = @import("std");
const host = @import("host.zig");
const memory = @import("memory.zig");
const rule_matcher = @import("rule_matcher.zig");
const scalar = @import("scalar.zig");

const Allocator = std.mem.Allocator;
const Value = std.json.Value;

pub const Problem = error{ InvalidConfiguration, OutOfMemory };

/// A scalar of any type, as text.
pub const Text = struct { text: []const u8 };

/// `Shape` may have `ignored_keys`, pairs of a key and why it is ignored. Strings are kept by reference.
pub fn read(comptime Shape: type, arena: Allocator, value: Value) Problem!Shape {
    return object(Shape, arena, value, "");
}

/// Says why in the log; to be returned.
pub fn refuse(pieces: host.Pieces) error{InvalidConfiguration} {
    host.err(pieces);
    return error.InvalidConfiguration;
}

/// Without empty strings, which would match everything.
pub fn withoutEmpty(arena: Allocator, texts: []const []const u8) Allocator.Error![]const []const u8 {
    var kept: std.ArrayList([]const u8) = .empty;
    for (texts) |text| {
        if (text.len > 0) try kept.append(arena, text);
    }
    return kept.items;
}

fn object(comptime Shape: type, arena: Allocator, value: Value, path: []const u8) Problem!Shape {
    const found: std.json.ObjectMap = switch (value) {
        .object => |map| map,
        .null => .empty,
        else => return wrongType(Shape, if (path.len > 0) path else "the configuration", value),
    };
    var result: Shape = undefined;
    const info = @typeInfo(Shape).@"struct";
    inline for (info.field_names, info.field_types, info.field_attrs) |key, Type, attributes| {
        const item = found.get(key) orelse .null;
        if (item != .null) {
            @field(result, key) = try read_(Type, arena, item, try inside(path, key));
        } else if (comptime attributes.defaultValue(Type)) |default| {
            @field(result, key) = default;
        } else {
            return refuse(&.{ try inside(path, key), " is required" });
        }
    }
    for (found.keys()) |key| {
        if (!isField(Shape, key) and !(path.len == 0 and rule_matcher.isControlKey(key))) {
            host.warn(&.{ try inside(path, key), " ", whyIgnored(Shape, key), " and is ignored" });
        }
    }
    return result;
}

fn isField(comptime Shape: type, key: []const u8) bool {
    inline for (@typeInfo(Shape).@"struct".field_names) |field| {
        if (std.mem.eql(u8, field, key)) return true;
    }
    return false;
}

fn whyIgnored(comptime Shape: type, key: []const u8) []const u8 {
    if (@hasDecl(Shape, "ignored_keys")) {
        inline for (Shape.ignored_keys) |ignored| {
            if (std.mem.eql(u8, ignored[0], key)) return ignored[1];
        }
    }
    return "is an unknown key";
}

fn inside(path: []const u8, key: []const u8) Allocator.Error![]const u8 {
    if (path.len == 0) return key;
    return std.mem.concat(memory.call(), u8, &.{ path, ".", key });
}

/// The path of an item of a list.
pub fn at(path: []const u8, index: usize) Allocator.Error![]const u8 {
    return std.mem.concat(memory.call(), u8, &.{ path, "[", host.decimal(@intCast(index)), "]" });
}

fn read_(comptime Type: type, arena: Allocator, value: Value, path: []const u8) Problem!Type {
    if (Type == Text) {
        const text = try scalar.text(arena, value);
        return .{ .text = text orelse return wrongType(Type, path, value) };
    }
    if (Type == []const u8) {
        return if (value == .string) value.string else wrongType(Type, path, value);
    }
    return switch (@typeInfo(Type)) {
        .bool => if (value == .bool) value.bool else wrongType(Type, path, value),
        .int => number(Type, path, value),
        .optional => |optional| try read_(optional.child, arena, value, path),
        .pointer => |pointer| list(pointer.child, arena, value, path),
        .@"enum" => choice(Type, path, value),
        .@"struct" => object(Type, arena, value, path),
        else => @compileError("no configuration has values of type " ++ @typeName(Type)),
    };
}

/// Numbers stay as written until here. One that is too large is the largest there is.
fn number(comptime Type: type, path: []const u8, value: Value) Problem!Type {
    const digits = switch (value) {
        .number_string => |text| text,
        else => return wrongType(Type, path, value),
    };
    return std.fmt.parseInt(Type, digits, 10) catch |problem| switch (problem) {
        error.Overflow => if (digits[0] == '-') std.math.minInt(Type) else std.math.maxInt(Type),
        error.InvalidCharacter => refuse(&.{ path, " has to be ", comptime phrase(Type), ", not ", digits }),
    };
}

/// Letter case is ignored.
fn choice(comptime Type: type, path: []const u8, value: Value) Problem!Type {
    const text = switch (value) {
        .string => |text| text,
        else => return wrongType(Type, path, value),
    };
    inline for (comptime std.meta.fieldNames(Type)) |name| {
        if (std.ascii.eqlIgnoreCase(name, text)) return @field(Type, name);
    }
    return refuse(&.{ path, " has to be ", comptime phrase(Type), ", not ", text });
}

fn list(comptime Item: type, arena: Allocator, value: Value, path: []const u8) Problem![]const Item {
    const items = switch (value) {
        .array => |array| array.items,
        else => return wrongType([]const Item, path, value),
    };
    const result = try arena.alloc(Item, items.len);
    for (items, result, 0..) |item, *slot, index| {
        if (Item == []const u8 or Item == Text) {
            if (!fits(Item, item)) return wrongType([]const Item, path, item);
        }
        slot.* = try read_(Item, arena, item, try at(path, index));
    }
    return result;
}

fn fits(comptime Type: type, value: Value) bool {
    return switch (value) {
        .string => true,
        .bool, .number_string => Type == Text,
        else => false,
    };
}

fn wrongType(comptime Type: type, path: []const u8, value: Value) error{InvalidConfiguration} {
    return refuse(&.{ path, " has to be ", comptime phrase(Type), ", not ", typeName(value) });
}

fn phrase(comptime Type: type) []const u8 {
    return switch (Type) {
        bool => "a boolean",
        []const u8 => "a string",
        Text => "a string or a number",
        []const []const u8 => "a list of strings",
        []const Text => "a list of strings or numbers",
        else => switch (@typeInfo(Type)) {
            .int => "a whole number",
            .pointer => "a list of objects",
            .@"enum" => "one of " ++ names(Type),
            else => "an object",
        },
    };
}

fn names(comptime Enum: type) []const u8 {
    comptime var text: []const u8 = "";
    inline for (comptime std.meta.fieldNames(Enum), 0..) |name, index| {
        text = text ++ (if (index == 0) "" else ", ") ++ name;
    }
    return text;
}

fn typeName(value: Value) []const u8 {
    return switch (value) {
        .null => "null",
        .bool => "a boolean",
        .integer, .float, .number_string => "a number",
        .string => "a string",
        .array => "a list",
        .object => "an object",
    };
}
