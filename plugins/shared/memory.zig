//! Who owns which bytes. `heap` lives as long as the module does; `call` lives for one callback of the host.
//!
//! The host copies every header, property and buffer it hands over into memory that it asks for during the
//! callback, so all of it comes from the call arena, which is emptied when the outermost callback returns.

const std = @import("std");

pub const heap = std.heap.wasm_allocator;

/// Kept between callbacks, so that an ordinary request allocates nothing from the heap.
const retained_bytes = 64 * 1024;

var call_arena: std.heap.ArenaAllocator = .init(heap);
var depth: u32 = 0;

pub fn call() std.mem.Allocator {
    return call_arena.allocator();
}

/// Every exported callback starts with `enter` and ends with `leave`; a callback inside another one keeps its bytes.
pub fn enter() void {
    depth += 1;
}

pub fn leave() void {
    depth -= 1;
    if (depth == 0) _ = call_arena.reset(.{ .retain_with_limit = retained_bytes });
}

/// Memory for the host to write into; null when there is none left.
pub fn allocateForHost(size: usize) ?[*]u8 {
    const bytes = call().alignedAlloc(u8, .@"16", @max(size, 1)) catch return null;
    return bytes.ptr;
}
