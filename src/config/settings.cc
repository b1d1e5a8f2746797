#include "config/settings.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "config/config.h"

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
    if (i == 0 || !is_secret_type(match_, i - 1) || match_.captures[i - 1].text != "7") {
      return match_.captures[i].text;
    }
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
  if (!complaint_) complaint_ = {std::string(argument), std::move(what), std::move(hint)};
}

namespace {

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

bool is_attribute_type(std::string_view type) {
  static constexpr std::array<std::string_view, 24> known = {"cn",
                                                             "ou",
                                                             "o",
                                                             "l",
                                                             "st",
                                                             "c",
                                                             "e",
                                                             "email",
                                                             "emailAddress",
                                                             "dc",
                                                             "serialNumber",
                                                             "hostname",
                                                             "ip",
                                                             "ipaddress",
                                                             "unstructuredName",
                                                             "unstructuredAddress",
                                                             "sn",
                                                             "gn",
                                                             "givenName",
                                                             "surname",
                                                             "t",
                                                             "title",
                                                             "dnQualifier",
                                                             "dnq"};
  if (std::any_of(known.begin(), known.end(),
                  [&](std::string_view one) { return same_letters(one, type); })) {
    return true;
  }
  const bool dotted = type.find('.') != std::string_view::npos && type.front() != '.' &&
                      type.back() != '.' && type.find("..") == std::string_view::npos;
  return dotted && std::all_of(type.begin(), type.end(),
                               [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

std::string_view trim(std::string_view text) {
  const auto start = text.find_first_not_of(' ');
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(' ') - start + 1);
}

std::optional<std::string> why_no_pair(std::string_view pair) {
  const auto equals = pair.find('=');
  if (equals == std::string_view::npos) {
    return fmt::format("\"{}\" is not a pair TYPE=value", pair);
  }
  const std::string_view type = trim(pair.substr(0, equals));
  if (type.empty() || !is_attribute_type(type)) {
    return fmt::format("\"{}\" is no attribute type", type);
  }
  const std::string_view value = trim(pair.substr(equals + 1));
  if (value.empty() || value == "\"\"") return fmt::format("{} has no value", type);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> why_no_name(std::string_view text) {
  if (text.size() > 1024) return "a name of over 1024 octets";
  bool quoted = false;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const bool end = i == text.size();
    if (!end && text[i] == '\\') {
      if (i + 1 == text.size()) return "a backslash with nothing behind it";
      ++i;
    } else if (!end && text[i] == '"') {
      quoted = !quoted;
    } else if (end || (!quoted && (text[i] == ',' || text[i] == '+'))) {
      if (end && quoted) return "a double quote that is not closed";
      const std::string_view pair = trim(text.substr(start, i - start));
      if (pair.empty()) return "an empty part between commas";
      if (auto why = why_no_pair(pair)) return why;
      start = i + 1;
    }
  }
  return std::nullopt;
}

namespace set {

void hostname(Setting& s) { s.configuration().hostname = s.text("NAME"); }
void domain_name(Setting& s) { s.configuration().domain = s.text("NAME"); }
void calendar_valid(Setting& s) { s.configuration().calendar_valid = true; }
void http_server(Setting& s) { s.configuration().http_server = true; }
void http_address(Setting& s) { s.configuration().http_address = s.text("ADDRESS"); }

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

}  // namespace set
}  // namespace umbra::config
