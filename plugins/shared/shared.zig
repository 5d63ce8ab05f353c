//! What bundled plugins are built on.

pub const abi = @import("abi.zig");
pub const configuration = @import("configuration.zig");
pub const headers = @import("headers.zig");
pub const host = @import("host.zig");
pub const memory = @import("memory.zig");
pub const plugin = @import("plugin.zig");
pub const query = @import("query.zig");
pub const rule_matcher = @import("rule_matcher.zig");
pub const version_stamp = @import("version_stamp.zig");
