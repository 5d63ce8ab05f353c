//! Regular expressions, the part of RE2's syntax that hosts and paths need, matched in linear time (Pike's machine: all
//! threads at once, the leftmost and most wanted match wins, as in Perl).
//!
//! In it: literals, `.`, classes, `\d \w \s` and their opposites, `^ $ \A \z \b \B`, groups with and without capture
//! or name, `|`, `* + ? {n,m}` greedy and lazy, `(?i)`.

const std = @import("std");
const syntax = @import("pattern_syntax.zig");

const Allocator = std.mem.Allocator;

pub const Error = error{ InvalidPattern, OutOfMemory };
pub const Set = std.StaticBitSet(256);
pub const Assertion = enum { begin, end, word_boundary, no_word_boundary };

pub const Instruction = union(enum) {
    byte: u8,
    set: *const Set,
    assertion: Assertion,
    /// The place in the text becomes a bound of a group.
    save: usize,
    jump: usize,
    /// Both, the first one rather.
    split: [2]usize,
    match,
};

/// Where each group begins and ends, by pairs; the whole match is group 0.
const Bounds = []?usize;

pub const Pattern = struct {
    program: []const Instruction,
    /// By group; null for one without a name.
    group_names: []const ?[]const u8,

    /// `why` says what is wrong with an invalid pattern.
    pub fn compile(arena: Allocator, text: []const u8, why: *[]const u8) Error!Pattern {
        return syntax.compile(arena, text, why);
    }

    /// Every match replaced by `template`, in which `$1`, `${1}` and `${name}` stand for groups and `$$` for a dollar;
    /// null where nothing matches.
    pub fn replaceAll(self: Pattern, allocator: Allocator, text: []const u8, template: []const u8) !?[]const u8 {
        var result: std.ArrayList(u8) = .empty;
        var copied: usize = 0;
        var from: usize = 0;
        var matched = false;
        while (from <= text.len) {
            const bounds = try self.find(allocator, text, from) orelse break;
            const begin = bounds[0].?;
            const end = bounds[1].?;
            // An empty match right behind another one is none.
            if (!(matched and begin == end and begin == copied)) {
                try result.appendSlice(allocator, text[copied..begin]);
                try self.expand(&result, allocator, template, text, bounds);
                copied = end;
                matched = true;
            }
            from = if (end > from) end else from + 1;
        }
        if (!matched) return null;
        try result.appendSlice(allocator, text[copied..]);
        return result.items;
    }

    /// The leftmost match that begins at `from` or later.
    pub fn find(self: Pattern, allocator: Allocator, text: []const u8, from: usize) Allocator.Error!?Bounds {
        var machine: Machine = try .init(allocator, self, text);
        return machine.run(from);
    }

    fn expand(
        self: Pattern,
        result: *std.ArrayList(u8),
        allocator: Allocator,
        template: []const u8,
        text: []const u8,
        bounds: Bounds,
    ) Allocator.Error!void {
        var rest = template;
        while (std.mem.indexOfScalar(u8, rest, '$')) |dollar| {
            try result.appendSlice(allocator, rest[0..dollar]);
            rest = rest[dollar + 1 ..];
            if (std.mem.startsWith(u8, rest, "$")) {
                try result.append(allocator, '$');
                rest = rest[1..];
                continue;
            }
            const reference = Reference.parse(rest) orelse {
                try result.append(allocator, '$');
                continue;
            };
            rest = rest[reference.size..];
            const group = self.groupOf(reference.name) orelse continue;
            const begin = bounds[2 * group] orelse continue;
            try result.appendSlice(allocator, text[begin..bounds[2 * group + 1].?]);
        }
        try result.appendSlice(allocator, rest);
    }

    fn groupOf(self: Pattern, name: []const u8) ?usize {
        if (std.fmt.parseInt(usize, name, 10)) |number| {
            if (name.len > 1 and name[0] == '0') return null;
            return if (number < self.group_names.len) number else null;
        } else |_| {}
        for (self.group_names, 0..) |named, index| {
            if (named) |candidate| {
                if (std.mem.eql(u8, candidate, name)) return index;
            }
        }
        return null;
    }
};

/// `name` or `{name}` behind a dollar; the longest name there is.
const Reference = struct {
    name: []const u8,
    size: usize,

    fn parse(text: []const u8) ?Reference {
        const braced = std.mem.startsWith(u8, text, "{");
        const start: usize = @intFromBool(braced);
        var end = start;
        while (end < text.len and isWord(text[end])) end += 1;
        if (end == start) return null;
        if (braced and (end == text.len or text[end] != '}')) return null;
        return .{ .name = text[start..end], .size = end + start };
    }
};

pub fn isWord(byte: u8) bool {
    return std.ascii.isAlphanumeric(byte) or byte == '_';
}

const Thread = struct { counter: usize, bounds: Bounds };

const Machine = struct {
    allocator: Allocator,
    pattern: Pattern,
    text: []const u8,
    current: std.ArrayList(Thread) = .empty,
    next: std.ArrayList(Thread) = .empty,
    /// The place in the text, counted from 1, for which an instruction was last added.
    seen: []usize,

    fn init(allocator: Allocator, pattern: Pattern, text: []const u8) Allocator.Error!Machine {
        const seen = try allocator.alloc(usize, pattern.program.len);
        @memset(seen, 0);
        return .{ .allocator = allocator, .pattern = pattern, .text = text, .seen = seen };
    }

    fn run(self: *Machine, from: usize) Allocator.Error!?Bounds {
        const unset = try self.allocator.alloc(?usize, 2 * self.pattern.group_names.len);
        @memset(unset, null);
        var found: ?Bounds = null;
        var at = from;
        while (true) : (at += 1) {
            // Whoever began earlier is wanted more, so a new beginning comes last.
            if (found == null) try self.add(&self.current, 0, unset, at);
            if (self.current.items.len == 0 and found != null) return found;
            for (self.current.items) |thread| {
                const goes_on = switch (self.pattern.program[thread.counter]) {
                    .byte => |byte| at < self.text.len and self.text[at] == byte,
                    .set => |set| at < self.text.len and set.isSet(self.text[at]),
                    .match => {
                        found = thread.bounds;
                        break;
                    },
                    else => unreachable,
                };
                if (goes_on) try self.add(&self.next, thread.counter + 1, thread.bounds, at + 1);
            }
            if (at == self.text.len) return found;
            std.mem.swap(std.ArrayList(Thread), &self.current, &self.next);
            self.next.clearRetainingCapacity();
        }
    }

    /// Follows everything that reads no byte. An instruction that was reached before for this place is not wanted.
    fn add(
        self: *Machine,
        threads: *std.ArrayList(Thread),
        counter: usize,
        bounds: Bounds,
        at: usize,
    ) Allocator.Error!void {
        if (self.seen[counter] == at + 1) return;
        self.seen[counter] = at + 1;
        switch (self.pattern.program[counter]) {
            .jump => |target| try self.add(threads, target, bounds, at),
            .split => |targets| for (targets) |target| try self.add(threads, target, bounds, at),
            .save => |bound| {
                const changed = try self.allocator.dupe(?usize, bounds);
                changed[bound] = at;
                try self.add(threads, counter + 1, changed, at);
            },
            .assertion => |assertion| if (self.holds(assertion, at)) try self.add(threads, counter + 1, bounds, at),
            .byte, .set, .match => try threads.append(self.allocator, .{ .counter = counter, .bounds = bounds }),
        }
    }

    fn holds(self: *const Machine, assertion: Assertion, at: usize) bool {
        return switch (assertion) {
            .begin => at == 0,
            .end => at == self.text.len,
            .word_boundary => self.wordBefore(at) != self.wordAt(at),
            .no_word_boundary => self.wordBefore(at) == self.wordAt(at),
        };
    }

    fn wordBefore(self: *const Machine, at: usize) bool {
        return at > 0 and isWord(self.text[at - 1]);
    }

    fn wordAt(self: *const Machine, at: usize) bool {
        return at < self.text.len and isWord(self.text[at]);
    }
};
