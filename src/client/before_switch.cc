#include "client/before_switch.h"

#include <fmt/format.h>

#include <array>

#include "client/lineage.h"

namespace umbra::client {
namespace {

constexpr std::string_view word = "before-switch ";

std::string_view line_in(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    if (text.starts_with(word)) return text.substr(0, end);
    text.remove_prefix(end);
  }
  return {};
}

std::string mark_of(const store::TrustpointRow& row) {
  Bytes both = row.ca_certificate;
  both.insert(both.end(), row.identity.begin(), row.identity.end());
  return to_hex(x509::hash(x509::Digest::sha256, both));
}

// A field of its own for what is not there.
std::string field(const Bytes& octets) { return octets.empty() ? "-" : to_hex(octets); }

bool valid(const x509::Certificate& certificate, Time now) {
  return certificate.not_before() <= now && now < certificate.not_after();
}

}  // namespace

void keep_before_switch(store::TrustpointRow& row, const store::TrustpointRow& before) {
  forget_before_switch(row);
  row.held_since +=
      fmt::format("{}{} {} {} {} {}\n", word, mark_of(row), field(before.ca_certificate),
                  field(before.ra_certificates), field(before.identity), field(before.sealed_key));
}

void forget_before_switch(store::TrustpointRow& row) {
  if (const auto line = line_in(row.held_since); !line.empty())
    row.held_since.erase(row.held_since.find(line), line.size());
}

std::string before_switch_line(const store::TrustpointRow& row) {
  const auto line = line_in(row.held_since);
  if (line.empty() || !line.substr(word.size()).starts_with(mark_of(row) + " ")) return {};
  // A switch takes no key away: this one was zeroized, by a version that forgot the line.
  if (row.sealed_key.empty() && !line.ends_with(" -\n")) return {};
  return std::string(line);
}

std::optional<store::TrustpointRow> before_switch(const store::TrustpointRow& row, Time now) {
  const std::string line = before_switch_line(row);
  if (line.empty()) return std::nullopt;
  std::string_view rest = line;
  rest.remove_suffix(1);
  rest.remove_prefix(rest.find(' ', word.size()) + 1);
  std::array<Bytes, 4> fields;
  for (Bytes& one : fields) {
    const std::string_view text = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(text.size() + 1, rest.size()));
    if (text == "-") continue;
    auto octets = from_hex(text);
    if (!octets) return std::nullopt;
    one = *std::move(octets);
  }
  auto& [ca_der, ras, identity_der, key] = fields;
  const auto next = x509::Certificate::from_der(row.ca_certificate);
  const auto ca = x509::Certificate::from_der(ca_der);
  if (!next || !ca || next->not_before() <= now || !valid(*ca, now)) return std::nullopt;
  if (!identity_der.empty()) {
    const auto identity = x509::Certificate::from_der(identity_der);
    if (!identity || !valid(*identity, now)) return std::nullopt;
  }
  store::TrustpointRow back = row;
  back.held_since.erase(back.held_since.find(line), line.size());
  unfollow_lineage(back, *next);
  back.rollover_ca_certificate = row.ca_certificate;
  back.rollover_ra_certificates = row.ra_certificates;
  back.rollover_identity = row.identity;
  back.sealed_shadow_key.clear();
  // There was none: what has come since is for the first certificate, and no shadow's.
  if (key.empty()) key = row.sealed_key;
  if (key != row.sealed_key) back.sealed_shadow_key = row.sealed_key;
  back.ca_certificate = std::move(ca_der);
  back.ra_certificates = std::move(ras);
  back.identity = std::move(identity_der);
  back.sealed_key = std::move(key);
  back.previous_ca_certificate.clear();
  clear_request(back);
  return back;
}

}  // namespace umbra::client
