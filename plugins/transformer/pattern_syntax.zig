//! A pattern's text, read into a tree.

const std = @import("std");
const pattern = @import("pattern.zig");
const pattern_program = @import("pattern_program.zig");

const Allocator = std.mem.Allocator;
const Error = pattern.Error;
const Node = pattern_program.Node;
const Set = pattern.Set;

const repeats_at_most = 1000;
const depth_at_most = 100;

pub fn compile(arena: Allocator, text: []const u8, why: *[]const u8) Error!pattern.Pattern {
    var parser: Parser = .{ .arena = arena, .text = text, .why = why };
    try parser.names.append(arena, null);
    const tree = try parser.choice(0);
    if (parser.at < text.len) return parser.fail("a closing parenthesis too many");
    return .{ .program = try pattern_program.emit(arena, tree, why), .group_names = parser.names.items };
}

const Parser = struct {
    arena: Allocator,
    text: []const u8,
    why: *[]const u8,
    at: usize = 0,
    ignores_case: bool = false,
    names: std.ArrayList(?[]const u8) = .empty,

    fn fail(self: *Parser, why: []const u8) error{InvalidPattern} {
        self.why.* = why;
        return error.InvalidPattern;
    }

    fn peek(self: *const Parser) ?u8 {
        return if (self.at < self.text.len) self.text[self.at] else null;
    }

    fn take(self: *Parser, wanted: []const u8) bool {
        if (!std.mem.startsWith(u8, self.text[self.at..], wanted)) return false;
        self.at += wanted.len;
        return true;
    }

    fn choice(self: *Parser, depth: usize) Error!Node {
        if (depth > depth_at_most) return self.fail("too many groups inside each other");
        // Flags end with the group that they are in.
        const outer = self.ignores_case;
        defer self.ignores_case = outer;
        var branches: std.ArrayList(Node) = .empty;
        try branches.append(self.arena, try self.sequence(depth));
        while (self.take("|")) try branches.append(self.arena, try self.sequence(depth));
        return if (branches.items.len == 1) branches.items[0] else .{ .choice = branches.items };
    }

    fn sequence(self: *Parser, depth: usize) Error!Node {
        var nodes: std.ArrayList(Node) = .empty;
        while (self.peek()) |next| {
            if (next == '|' or next == ')') break;
            try nodes.append(self.arena, try self.repeated(try self.atom(depth)));
        }
        return .{ .sequence = nodes.items };
    }

    fn atom(self: *Parser, depth: usize) Error!Node {
        const next = self.text[self.at];
        self.at += 1;
        return switch (next) {
            '(' => self.group(depth),
            '[' => self.class(),
            '.' => self.character(byteSet('\n').complement()),
            '^' => .{ .assertion = .begin },
            '$' => .{ .assertion = .end },
            '*', '+', '?' => self.fail("nothing to repeat"),
            '\\' => self.escape(),
            else => self.literal(next),
        };
    }

    /// A character beyond ASCII is several bytes, which are repeated together.
    fn literal(self: *Parser, byte: u8) Error!Node {
        const size = std.unicode.utf8ByteSequenceLength(byte) catch 1;
        if (size > 1) {
            const start = self.at - 1;
            self.at = @min(start + size, self.text.len);
            const bytes = try self.arena.alloc(Node, self.at - start);
            for (bytes, self.text[start..self.at]) |*node, each| node.* = .{ .byte = each };
            return .{ .sequence = bytes };
        }
        if (!self.ignores_case or !std.ascii.isAlphabetic(byte)) return .{ .byte = byte };
        return .{ .set = try self.keep(inCase(byteSet(byte))) };
    }

    fn group(self: *Parser, depth: usize) Error!Node {
        var number: ?usize = null;
        if (self.take("?P<") or self.take("?<")) {
            const end = std.mem.indexOfScalarPos(u8, self.text, self.at, '>') orelse {
                return self.fail("an endless name");
            };
            number = try self.newGroup(self.text[self.at..end]);
            self.at = end + 1;
        } else if (self.take("?i)")) {
            self.ignores_case = true;
            return .empty;
        } else if (self.take("?i:")) {
            const outer = self.ignores_case;
            defer self.ignores_case = outer;
            self.ignores_case = true;
            return self.closed(try self.choice(depth + 1));
        } else if (self.take("?:")) {
            return self.closed(try self.choice(depth + 1));
        } else if (self.peek() == '?') {
            return self.fail("of the groups with a question mark there are (?:…), (?P<name>…) and (?i) only");
        } else {
            number = try self.newGroup(null);
        }
        const inside = try self.arena.create(Node);
        inside.* = try self.closed(try self.choice(depth + 1));
        return .{ .group = .{ .number = number.?, .inside = inside } };
    }

    fn newGroup(self: *Parser, name: ?[]const u8) Error!usize {
        if (name) |text| {
            for (text) |byte| if (!pattern.isWord(byte)) return self.fail("a name of a group with other than letters");
            if (text.len == 0) return self.fail("an empty name");
        }
        try self.names.append(self.arena, name);
        return self.names.items.len - 1;
    }

    fn closed(self: *Parser, node: Node) Error!Node {
        return if (self.take(")")) node else self.fail("a closing parenthesis is missing");
    }

    fn repeated(self: *Parser, node: Node) Error!Node {
        const bounds = try self.quantifier() orelse return node;
        if (node == .empty) return self.fail("nothing to repeat");
        const greedy = !self.take("?");
        if (try self.quantifier() != null) return self.fail("a repetition of a repetition");
        const inside = try self.arena.create(Node);
        inside.* = node;
        return .{ .repeat = .{ .inside = inside, .least = bounds.least, .most = bounds.most, .greedy = greedy } };
    }

    const Repeats = struct { least: usize, most: ?usize };

    fn quantifier(self: *Parser) Error!?Repeats {
        if (self.take("*")) return .{ .least = 0, .most = null };
        if (self.take("+")) return .{ .least = 1, .most = null };
        if (self.take("?")) return .{ .least = 0, .most = 1 };
        const start = self.at;
        if (!self.take("{")) return null;
        const least = self.digits();
        const most = if (self.take(",")) self.digits() else least;
        const open_ended = self.at > start and self.text[self.at - 1] == ',';
        // Anything else in braces is text.
        if (least == null or (most == null and !open_ended) or !self.take("}")) {
            self.at = start;
            return null;
        }
        if (least.? > (most orelse repeats_at_most) or (most orelse 0) > repeats_at_most) {
            return self.fail("the numbers of a repetition are out of order or over 1000");
        }
        return .{ .least = least.?, .most = most };
    }

    fn digits(self: *Parser) ?usize {
        const start = self.at;
        while (self.at < self.text.len and std.ascii.isDigit(self.text[self.at])) self.at += 1;
        return std.fmt.parseInt(usize, self.text[start..self.at], 10) catch null;
    }

    fn escape(self: *Parser) Error!Node {
        const next = self.peek() orelse return self.fail("a backslash at the end");
        switch (next) {
            'A' => return self.asserted(.begin),
            'z' => return self.asserted(.end),
            'b' => return self.asserted(.word_boundary),
            'B' => return self.asserted(.no_word_boundary),
            else => {},
        }
        if (self.shorthand()) |set| return self.character(set);
        return self.literal(try self.escapedByte());
    }

    fn asserted(self: *Parser, assertion: pattern.Assertion) Node {
        self.at += 1;
        return .{ .assertion = assertion };
    }

    /// `d`, `w`, `s` and their opposites, behind a backslash.
    fn shorthand(self: *Parser) ?Set {
        const next = self.peek() orelse return null;
        var set: Set = .empty;
        for (0..128) |code| {
            const byte: u8 = @intCast(code);
            set.setValue(code, switch (std.ascii.toLower(next)) {
                'd' => std.ascii.isDigit(byte),
                'w' => pattern.isWord(byte),
                's' => std.mem.indexOfScalar(u8, " \t\n\r\x0c", byte) != null,
                else => return null,
            });
        }
        self.at += 1;
        return if (std.ascii.isUpper(next)) set.complement() else set;
    }

    fn escapedByte(self: *Parser) Error!u8 {
        const next = self.peek() orelse return self.fail("a backslash at the end");
        self.at += 1;
        return switch (next) {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'f' => 0x0c,
            'v' => 0x0b,
            'a' => 0x07,
            else => if (next < 0x80 and !std.ascii.isAlphanumeric(next)) next else self.fail("an unknown escape"),
        };
    }

    fn class(self: *Parser) Error!Node {
        const negated = self.take("^");
        var set: Set = .empty;
        var first = true;
        while (first or self.peek() != ']') : (first = false) {
            if (self.peek() == null) return self.fail("a closing bracket is missing");
            if (self.take("\\")) {
                if (self.shorthand()) |more| {
                    set.setUnion(more);
                    continue;
                }
                self.at -= 1;
            }
            if (self.text[self.at..].len > 1 and self.text[self.at] == '[' and self.text[self.at + 1] == ':') {
                return self.fail("classes with a name are not supported");
            }
            const low = try self.classByte();
            var high = low;
            if (self.peek() == '-' and self.at + 1 < self.text.len and self.text[self.at + 1] != ']') {
                self.at += 1;
                high = try self.classByte();
                if (high < low) return self.fail("a range out of order");
            }
            set.setRangeValue(.{ .start = low, .end = @as(usize, high) + 1 }, true);
        }
        self.at += 1;
        if (self.ignores_case) set = inCase(set);
        return self.character(if (negated) set.complement() else set);
    }

    /// One of the set; where it has what is beyond ASCII, any whole character there.
    fn character(self: *Parser, set: Set) Error!Node {
        if (!set.isSet(0x80)) return .{ .set = try self.keep(set) };
        const following: Node = .{ .set = try self.keep(byteRange(0x80, 0xbf)) };
        const leading = [_]Set{ byteRange(0xc2, 0xdf), byteRange(0xe0, 0xef), byteRange(0xf0, 0xf4) };
        var branches: [1 + leading.len]Node = undefined;
        branches[0] = .{ .set = try self.keep(set.intersectWith(byteRange(0, 0x7f))) };
        for (branches[1..], leading, 1..) |*branch, set_of_first, count| {
            const bytes = try self.arena.alloc(Node, count + 1);
            bytes[0] = .{ .set = try self.keep(set_of_first) };
            @memset(bytes[1..], following);
            branch.* = .{ .sequence = bytes };
        }
        return .{ .choice = try self.arena.dupe(Node, &branches) };
    }

    fn classByte(self: *Parser) Error!u8 {
        if (self.take("\\")) return self.escapedByte();
        const byte = self.peek() orelse return self.fail("a closing bracket is missing");
        if (byte >= 0x80) return self.fail("in brackets there is ASCII only");
        self.at += 1;
        return byte;
    }

    fn keep(self: *const Parser, set: Set) Error!*const Set {
        const kept = try self.arena.create(Set);
        kept.* = set;
        return kept;
    }
};

fn inCase(set: Set) Set {
    var both = set;
    for ('a'..'z' + 1) |code| {
        const upper = std.ascii.toUpper(@intCast(code));
        if (set.isSet(code) or set.isSet(upper)) {
            both.set(code);
            both.set(upper);
        }
    }
    return both;
}

fn byteSet(byte: u8) Set {
    return byteRange(byte, byte);
}

fn byteRange(first: u8, last: u8) Set {
    var set: Set = .empty;
    set.setRangeValue(.{ .start = first, .end = @as(usize, last) + 1 }, true);
    return set;
}
