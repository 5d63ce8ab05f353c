//! The module's version, written into its data after the build (`sim/wasm/stamp.py`), so that one build serves
//! every version.

const field_size = 64;

const Stamp = extern struct {
    begin: [16]u8,
    version: [field_size]u8,
    end: [16]u8,
};

/// All zeros in `version`: never stamped. The last byte stays zero.
///
/// A variable, although nothing here writes it: of a constant, or without `volatile`, the compiler would know the
/// zeros and keep nothing of them.
var placeholder: Stamp = .{
    .begin = "<ecdsim:version:".*,
    .version = @splat(0),
    .end = ":ecdsim:version>".*,
};

/// The stamped version, `unstamped` where there is none.
pub fn version() []const u8 {
    const stamp: *volatile Stamp = &placeholder;
    var length: usize = 0;
    while (length < field_size and stamp.version[length] != 0) length += 1;
    if (length == 0) return "unstamped";
    const field: [*]const u8 = @ptrCast(@volatileCast(&stamp.version));
    return field[0..length];
}
