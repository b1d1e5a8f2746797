#include "client/held_since.h"

#include <fmt/format.h>

#include <charconv>

#include "client/state.h"

namespace umbra::client {

HeldSince read_held_since(std::string_view text) {
  HeldSince held;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t blank = line.find(' ');
    if (blank == std::string_view::npos) continue;
    const auto what = from_hex(line.substr(0, blank));
    const std::string_view figures = line.substr(blank + 1);
    std::int64_t seconds = 0;
    const auto [stop, error] =
        std::from_chars(figures.data(), figures.data() + figures.size(), seconds);
    if (!what || error != std::errc{} || stop != figures.data() + figures.size()) continue;
    held.emplace(*what, Time(Seconds{seconds}));
  }
  return held;
}

std::string to_text(const HeldSince& held) {
  std::string text;
  for (const auto& [what, since] : held)
    text += fmt::format("{} {}\n", to_hex(what), since.time_since_epoch().count());
  return text;
}

HeldSince held_now(const HeldSince& before, const State& state, Time now) {
  HeldSince held;
  const auto add = [&](Bytes what) {
    const auto known = before.find(what);
    held.emplace(std::move(what), known == before.end() ? now : known->second);
  };
  for (const auto* one :
       {&state.ca, &state.identity, &state.rollover_ca, &state.rollover_identity}) {
    if (*one) add((*one)->fingerprint(x509::Digest::sha256));
  }
  for (const auto* one : {&state.key, &state.shadow_key}) {
    if (*one) add(x509::hash(x509::Digest::sha256, (*one)->public_key().spki()));
  }
  return held;
}

}  // namespace umbra::client
