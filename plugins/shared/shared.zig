//! What bundled plugins are built on.

pub const abi = @import("abi.zig");
pub const exportPlugin = @import("plugin.zig").exportPlugin;
pub const host = @import("host.zig");
pub const memory = @import("memory.zig");
pub const rule_matcher = @import("rule_matcher.zig");
pub const version_stamp = @import("version_stamp.zig");
