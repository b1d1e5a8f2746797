#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "config/document.h"

namespace umbra::config {
namespace {

/// The block's lines in the table's order.
std::vector<std::string> lines(const Block& block) {
  std::vector<const Entry*> entries;
  for (const Entry& entry : block.entries) entries.push_back(&entry);
  std::stable_sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) {
    return a->match.command < b->match.command;  // places in one table
  });
  std::vector<std::string> out;
  for (const Entry* entry : entries) {
    std::string text = render(entry->match, entry->on, Secrets::type7);
    if (text != entry->match.command->otherwise) out.push_back(std::move(text));
  }
  return out;
}

std::string first_word(std::string_view line) {
  return std::string(line.substr(0, line.find(' ')));
}

}  // namespace

std::string running_config(const Document& document) {
  std::string out;
  const auto write_block = [&](std::string_view opener, const Block& block) {
    out += fmt::format("!\n{} {}\n", opener, block.name);
    for (const std::string& line : lines(block)) out += " " + line + "\n";
  };
  const std::vector<std::string> globals = lines(document.global);
  std::string group;
  // IOS prints the HTTP server and NTP below the certificates, everything else above.
  const auto write_globals = [&](bool below) {
    for (const std::string& line : globals) {
      const bool is_below = line.starts_with("ip http ") || line.starts_with("ntp ");
      if (is_below != below) continue;
      if (first_word(line) != group) {
        group = first_word(line);
        out += "!\n";
      }
      out += line + "\n";
    }
  };
  write_globals(false);
  for (const Block& block : document.servers) write_block("crypto pki server", block);
  for (const Block& block : document.trustpoints) write_block("crypto pki trustpoint", block);
  for (const Block& block : document.profiles) write_block("crypto pki profile enrollment", block);
  for (const Block& block : document.chains) out += "!\n" + to_string(block.chain);
  group.clear();
  write_globals(true);
  out += "!\n";
  return out;
}

}  // namespace umbra::config
