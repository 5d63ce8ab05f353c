//! JSON's scalars as text, as gjson has them, which Higress' plugins read their configuration with.

const std = @import("std");

const Allocator = std.mem.Allocator;
const Value = std.json.Value;

/// A scalar as text, as gjson has it; null for null, a list or an object.
pub fn text(arena: Allocator, value: Value) Allocator.Error!?[]const u8 {
    return switch (value) {
        .string => |characters| characters,
        .number_string => |digits| try numberText(arena, digits),
        .bool => |truth| if (truth) "true" else "false",
        .null, .integer, .float, .array, .object => null,
    };
}

/// Whole numbers stay as written, others lose the exponent and trailing zeros. By hand: floating point would double
/// the module. Beyond the fifteen digits that every number has there, gjson rounds and this does not.
fn numberText(arena: Allocator, written: []const u8) Allocator.Error![]const u8 {
    const sign: []const u8 = if (written[0] == '-') "-" else "";
    const unsigned = written[sign.len..];
    const mantissa_end = std.mem.indexOfAny(u8, unsigned, "eE") orelse unsigned.len;
    const mantissa = unsigned[0..mantissa_end];
    const point = std.mem.indexOfScalar(u8, mantissa, '.') orelse mantissa.len;
    if (point == unsigned.len) return written;
    const exponent = unsigned[@min(mantissa_end + 1, unsigned.len)..];
    const shift = if (exponent.len == 0) 0 else std.fmt.parseInt(i32, exponent, 10) catch return written;
    if (@abs(shift) > 400) return written;

    const fraction = mantissa[@min(point + 1, mantissa.len)..];
    const digits = try std.mem.concat(arena, u8, &.{ mantissa[0..point], fraction });
    const whole = @as(i32, @intCast(point)) + shift;
    const zeros_before: usize = @intCast(@max(1 - whole, 0));
    const zeros_behind: usize = @intCast(@max(whole - @as(i32, @intCast(digits.len)), 0));
    const all = try arena.alloc(u8, zeros_before + digits.len + zeros_behind);
    @memset(all, '0');
    @memcpy(all[zeros_before..][0..digits.len], digits);
    const split: usize = @intCast(@max(whole, 1));
    const front = std.mem.trimStart(u8, all[0..split], "0");
    const back = std.mem.trimEnd(u8, all[split..], "0");
    return std.mem.concat(arena, u8, &.{
        sign, if (front.len > 0) front else "0", if (back.len > 0) "." else "", back,
    });
}
