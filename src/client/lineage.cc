#include "client/lineage.h"

#include <fmt/format.h>

#include <algorithm>

#include "client/enrollment.h"

namespace umbra::client {
namespace {

constexpr std::string_view head = "lineage ";
// More generations than any host sees. Of a longer line the beginning would be lost, and with it
// what can be told of a fingerprint: then nothing is.
constexpr std::ptrdiff_t generations_max = 64;

std::string line_of(const x509::Certificate& ca) {
  return fmt::format("{}{} {} {}\n", head, to_hex(ca.fingerprint(x509::Digest::md5)),
                     to_hex(ca.fingerprint(x509::Digest::sha1)),
                     to_hex(ca.fingerprint(x509::Digest::sha256)));
}

std::string without_lineage(std::string_view text) {
  std::string rest;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    if (!text.starts_with(head)) rest += text.substr(0, end);
    text.remove_prefix(end);
  }
  return rest;
}

}  // namespace

std::string lineage_lines(std::string_view held_since) {
  std::string lines;
  while (!held_since.empty()) {
    const std::size_t end = std::min(held_since.find('\n'), held_since.size() - 1) + 1;
    if (held_since.starts_with(head)) lines += held_since.substr(0, end);
    held_since.remove_prefix(end);
  }
  return lines;
}

bool knows_lineage(const store::TrustpointRow& row, const x509::Certificate& ca) {
  return lineage_lines(row.held_since).ends_with(line_of(ca));
}

void begin_lineage(store::TrustpointRow& row, const x509::Certificate& ca) {
  if (!knows_lineage(row, ca)) row.held_since = without_lineage(row.held_since) + line_of(ca);
}

void follow_lineage(store::TrustpointRow& row, const x509::Certificate& ca,
                    const x509::Certificate& next) {
  const std::string lines = lineage_lines(row.held_since);
  const bool known =
      knows_lineage(row, ca) && std::count(lines.begin(), lines.end(), '\n') < generations_max;
  row.held_since =
      without_lineage(row.held_since) + (known ? lines + line_of(next) : std::string());
}

void unfollow_lineage(store::TrustpointRow& row, const x509::Certificate& next) {
  if (!knows_lineage(row, next)) return;
  std::string lines = lineage_lines(row.held_since);
  lines.resize(lines.size() - line_of(next).size());
  row.held_since = without_lineage(row.held_since) + lines;
}

bool cannot_be_followed(std::string_view fingerprint, const State& state) {
  if (fingerprint.empty() || !state.ca || knows_lineage(state.row, *state.ca)) return false;
  for (const auto* one : {&state.ca, &state.rollover_ca, &state.previous_ca}) {
    if (*one && has_fingerprint(**one, fingerprint)) return false;
  }
  return true;
}

bool contradicts(std::string_view fingerprint, const State& state) {
  if (fingerprint.empty() || !state.ca || !knows_lineage(state.row, *state.ca)) return false;
  const auto wanted = from_hex(fingerprint);
  if (!wanted) return false;
  // Whole words: the beginning of a fingerprint is nobody's.
  const std::string digits = to_hex(*wanted);
  const auto named_in = [&](std::string_view line) {
    while (!line.empty()) {
      const std::string_view one = line.substr(0, line.find_first_of(" \n"));
      if (one == digits) return true;
      line.remove_prefix(std::min(one.size() + 1, line.size()));
    }
    return false;
  };
  for (const auto* one : {&state.rollover_ca, &state.previous_ca}) {
    if (*one && has_fingerprint(**one, fingerprint)) return false;
  }
  return !named_in(lineage_lines(state.row.held_since));
}

}  // namespace umbra::client
