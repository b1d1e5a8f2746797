#include "config/settings.h"

#include <fmt/format.h>

#include "config/config.h"
#include "x509/name.h"

namespace umbra::config {

bool is_secret_type(const Match& match, std::size_t index) {
  return index + 1 < match.captures.size() && match.captures[index + 1].word->is_secret() &&
         (match.captures[index].word->text == "0" || match.captures[index].word->text == "7");
}

Seconds Setting::span() const {
  return Days{number("DAYS")} + std::chrono::hours{number("HOURS")} +
         std::chrono::minutes{number("MINUTES")};
}

std::optional<std::string> Setting::secret() {
  for (std::size_t i = 0; i < match_.captures.size(); ++i) {
    if (!match_.captures[i].word->is_secret()) continue;
    if (i == 0 || !is_secret_type(match_, i - 1)) {
      // Without a type the rest of the line would be taken for the password.
      if (match_.captures[i].text.starts_with("6 ") || match_.captures[i].text.starts_with("6\t")) {
        fault("PASSWORD", "a type 6 password cannot be read here",
              "the router has sealed it with a key of its own; type the password itself, behind 0");
        return std::nullopt;
      }
      return match_.captures[i].text;
    }
    if (match_.captures[i - 1].text != "7") return match_.captures[i].text;
    auto plain = decode_type7(match_.captures[i].text);
    if (plain) return *std::move(plain);
    fault("PASSWORD", "this is not a type 7 password",
          "expected: two figures and pairs of hexadecimal digits as IOS prints them, or the "
          "password itself behind 0");
    return std::nullopt;
  }
  return std::nullopt;
}

void Setting::fault(std::string_view argument, std::string what, std::string hint) {
  if (!complaint_) complaint_ = {std::string(argument), std::move(what), std::move(hint), {}};
}

void Setting::fault(const Capture& at, std::string what, std::string hint) {
  if (!complaint_) complaint_ = {"", std::move(what), std::move(hint), at.offset};
}

std::optional<std::string> why_no_name(std::string_view text) {
  const auto name = x509::Name::from_ios(text);
  if (!name) return name.error().detail;
  if (name->empty()) return "it is empty";
  return std::nullopt;
}

namespace set {

void hostname(Setting& s) {
  constexpr std::size_t label_max = 63;  // RFC 1035 2.3.4, and IOS
  const std::string name = s.text("NAME");
  if (name.size() > label_max) {
    s.fault("NAME", fmt::format("a name of {} characters", name.size()),
            fmt::format("expected: at most {}", label_max));
    return;
  }
  s.configuration().hostname = name;
}
void domain_name(Setting& s) { s.configuration().domain = s.text("NAME"); }
void calendar_valid(Setting& s) { s.configuration().calendar_valid = true; }
void http_server(Setting& s) { s.configuration().http_server = true; }
void http_address(Setting& s) { s.configuration().http_address = s.text("ADDRESS"); }
void http_max_wait(Setting& s) {
  s.configuration().http_max_wait = std::chrono::milliseconds{s.number("MILLISECONDS")};
}

void clock_timezone(Setting& s) {
  const int hours = s.number("HOURS-OFFSET");
  const int minutes = s.number("MINUTES-OFFSET");
  // `-3 30` is three and a half hours west; so is the `-0 30` no one types.
  const bool west = s.text("HOURS-OFFSET").starts_with('-');
  s.configuration().zone.name = s.text("ZONE");
  s.configuration().zone.offset =
      std::chrono::hours{hours} + std::chrono::minutes{west ? -minutes : minutes};
}

void http_port(Setting& s) {
  const int port = s.number("PORT");
  if (port != 80 && port < 1024) {
    s.fault("PORT", fmt::format("{} is out of range", port), "expected: 80, or 1024-65535");
    return;
  }
  s.configuration().http_port = static_cast<std::uint16_t>(port);
}

void http_rate_limit(Setting& s) {
  constexpr int burst = 10;  // seconds' worth
  const int each = s.number("PER-SECOND");
  s.configuration().http_requests_per_second = static_cast<unsigned>(each);
  s.configuration().http_requests_burst = static_cast<unsigned>(s.number("REQUESTS", burst * each));
}

}  // namespace set
}  // namespace umbra::config
