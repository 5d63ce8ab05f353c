//! A pattern's tree, and the program that is made of it.

const std = @import("std");
const pattern = @import("pattern.zig");

const Allocator = std.mem.Allocator;
const Error = pattern.Error;
const Instruction = pattern.Instruction;

const nodes_at_most = 5000;

pub const Node = union(enum) {
    empty,
    byte: u8,
    set: *const pattern.Set,
    assertion: pattern.Assertion,
    sequence: []const Node,
    choice: []const Node,
    group: struct { number: usize, inside: *const Node },
    repeat: struct { inside: *const Node, least: usize, most: ?usize, greedy: bool },
};

/// `why` says what is wrong with a tree that is too large.
pub fn emit(arena: Allocator, tree: Node, why: *[]const u8) Error![]const Instruction {
    var emitter: Emitter = .{ .arena = arena, .why = why };
    try emitter.node(.{ .group = .{ .number = 0, .inside = &tree } });
    try emitter.put(.match);
    return emitter.program.items;
}

const Emitter = struct {
    arena: Allocator,
    why: *[]const u8,
    program: std.ArrayList(Instruction) = .empty,
    /// Repeated ones count each time, also where they emit nothing.
    nodes: usize = 0,

    fn put(self: *Emitter, instruction: Instruction) Error!void {
        try self.program.append(self.arena, instruction);
    }

    fn here(self: *const Emitter) usize {
        return self.program.items.len;
    }

    fn node(self: *Emitter, tree: Node) Error!void {
        self.nodes += 1;
        if (self.nodes > nodes_at_most) {
            self.why.* = "it is too large";
            return error.InvalidPattern;
        }
        switch (tree) {
            .empty => {},
            .byte => |byte| try self.put(.{ .byte = byte }),
            .set => |set| try self.put(.{ .set = set }),
            .assertion => |assertion| try self.put(.{ .assertion = assertion }),
            .sequence => |nodes| for (nodes) |each| try self.node(each),
            .choice => |branches| try self.choice(branches),
            .group => |group| {
                try self.put(.{ .save = 2 * group.number });
                try self.node(group.inside.*);
                try self.put(.{ .save = 2 * group.number + 1 });
            },
            .repeat => |repeat| {
                for (0..repeat.least) |_| try self.node(repeat.inside.*);
                if (repeat.most) |most| {
                    try self.optional(repeat.inside, most - repeat.least, repeat.greedy);
                } else {
                    try self.any(repeat.inside, repeat.greedy);
                }
            },
        }
    }

    fn choice(self: *Emitter, branches: []const Node) Error!void {
        var jumps: std.ArrayList(usize) = .empty;
        for (branches, 1..) |branch, count| {
            if (count == branches.len) {
                try self.node(branch);
                break;
            }
            const split = self.here();
            try self.put(.match);
            try self.node(branch);
            try jumps.append(self.arena, self.here());
            try self.put(.match);
            self.program.items[split] = .{ .split = .{ split + 1, self.here() } };
        }
        for (jumps.items) |jump| self.program.items[jump] = .{ .jump = self.here() };
    }

    /// As often as there is something.
    fn any(self: *Emitter, inside: *const Node, greedy: bool) Error!void {
        const split = self.here();
        try self.put(.match);
        try self.node(inside.*);
        try self.put(.{ .jump = split });
        self.program.items[split] = either(split + 1, self.here(), greedy);
    }

    /// Up to `most` times, each inside the one before.
    fn optional(self: *Emitter, inside: *const Node, most: usize, greedy: bool) Error!void {
        var splits: std.ArrayList(usize) = .empty;
        for (0..most) |_| {
            try splits.append(self.arena, self.here());
            try self.put(.match);
            try self.node(inside.*);
        }
        for (splits.items) |split| self.program.items[split] = either(split + 1, self.here(), greedy);
    }
};

fn either(on: usize, past: usize, greedy: bool) Instruction {
    return .{ .split = if (greedy) .{ on, past } else .{ past, on } };
}
