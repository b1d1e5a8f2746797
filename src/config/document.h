#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/grammar.h"

/// Between the text and the typed configuration: which command stands in which block. Used by
/// config's own sources alone.
namespace umbra::config {

/// One command that is set. A later one of the same key has replaced the earlier.
struct Entry {
  Match match;
  bool on = true;  ///< false: the `no` form of a command that is on by default
  std::size_t line = 0;
  std::string source;  ///< the line as typed, secrets and all: for columns, never for printing
};

struct Block {
  Mode mode = Mode::global;
  std::string name;
  std::size_t line = 0;
  std::string source;
  std::vector<Entry> entries;
  Chain chain;
};
/// Nothing: this command is not set in the block.
[[nodiscard]] const Entry* find(const Block& block, std::string_view key);

struct Document {
  Block global;
  std::vector<Block> servers;
  std::vector<Block> trustpoints;
  std::vector<Block> profiles;  ///< `crypto pki profile enrollment`
  std::vector<Block> chains;
  std::vector<Entry> actions;  ///< accepted, not kept
};

/// How secrets are written.
enum class Secrets { type7, left_out };

/// The command in whole words, numbers without leading zeros, hours and minutes of zero left out.
[[nodiscard]] std::string render(const Match& match, bool on, Secrets secrets);

/// `offset` in octets from the start of `source`.
[[nodiscard]] Fault make_fault(std::size_t line, std::string_view source, std::size_t offset,
                               std::string what, std::string hint);

/// At this argument of the command, or at its first one.
[[nodiscard]] Fault fault_at(const Entry& entry, std::string_view argument, std::string what,
                             std::string hint);
/// At the line that opens the block.
[[nodiscard]] Fault fault_at(const Block& block, std::string what, std::string hint);

/// A line read: what it says, or why it says nothing.
struct Reading {
  Outcome outcome;
  Mode mode = Mode::global;
  bool no = false;
  std::vector<Token> tokens;
};

/// Why a line that says nothing stops the start.
struct Refusal {
  Fault fault;
  std::optional<Mode> opens;  ///< it was to open this submode: what follows belongs there
};
/// `current`: the mode the line stands in.
[[nodiscard]] Refusal refuse_line(std::string_view line, std::size_t number, const Reading& reading,
                                  Mode current);

/// Applies every entry, then checks what no single command can know. Faults and what is not
/// effective go into `parsed`.
void assemble(const Document& document, Parsed& parsed);

/// What two blocks cannot both have: names that differ in the case of letters alone, places to
/// write to, files named by serial numbers. In: `parsed` with its servers. Faults go into it.
void find_collisions(const Document& document, Parsed& parsed);

/// `show running-config`, in IOS's order.
[[nodiscard]] std::string running_config(const Document& document);

/// `"a", "b" or "c"`, at most twelve of them.
[[nodiscard]] std::string list(const std::vector<std::string>& words);

}  // namespace umbra::config
