#include "server/publication.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace umbra::server {
namespace {

using config::FileType;

constexpr Seconds first_wait{5};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  return text;
}

/// 12:14:16 UTC Oct 8 2017. The zone's name is not looked at: IOS knows only what its administrator
/// called it, and a day more or less of an expiry is taken as it stands.
std::optional<Time> parse_ios_time(std::string_view text) {
  static constexpr std::array months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::vector<std::string_view> words;
  while (!(text = trimmed(text)).empty()) {
    const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  if (words.size() < 4) return std::nullopt;
  const auto number = [](std::string_view digits) -> std::optional<int> {
    int value = 0;
    const auto [at, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || at != digits.data() + digits.size() || value < 0)
      return std::nullopt;
    return value;
  };
  const std::string_view clock = words.front();
  const std::string_view month = words[words.size() - 3];
  const auto day = number(words[words.size() - 2]);
  const auto year = number(words.back());
  const auto known = std::find(months.begin(), months.end(), month);
  if (clock.size() != 8 || clock[2] != ':' || clock[5] != ':' || known == months.end() || !day ||
      !year)
    return std::nullopt;
  const auto hours = number(clock.substr(0, 2));
  const auto minutes = number(clock.substr(3, 2));
  const auto seconds = number(clock.substr(6, 2));
  const std::chrono::year_month_day date{
      std::chrono::year{*year},
      std::chrono::month{static_cast<unsigned>(known - months.begin()) + 1},
      std::chrono::day{static_cast<unsigned>(*day)}};
  if (!hours || !minutes || !seconds || *hours > 23 || *minutes > 59 || *seconds > 59 ||
      *year > 9999 || !date.ok())
    return std::nullopt;
  return std::chrono::sys_days{date} + std::chrono::hours{*hours} + std::chrono::minutes{*minutes} +
         Seconds{*seconds};
}

}  // namespace

std::string_view suffix_of(FileType type) {
  switch (type) {
    case FileType::cnm:
      return "cnm";
    case FileType::crl:
      return "crl";
    case FileType::crt:
      return "crt";
    case FileType::p12:
      return "p12";
    case FileType::pem:
      return "pem";
    case FileType::ser:
      return "ser";
  }
  return "";
}

bool PublicationPlace::has(Slot slot) const {
  return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

bool PublicationPlace::keeps_originals() const {
  return std::any_of(slots.begin(), slots.end(), [](Slot slot) { return !slot.copy; });
}

std::vector<PublicationPlace> places_of(const config::Server& server) {
  std::vector<PublicationPlace> places;
  const auto add = [&](config::FilePlace where, Slot slot) {
    if (where.username.empty()) {
      where.username = server.database_username;
      where.password = server.database_password;
    }
    const auto same = std::find_if(places.begin(), places.end(),
                                   [&](const auto& place) { return place.where == where; });
    if (same != places.end()) {
      if (!slot.copy || !same->has({slot.type, false})) same->slots.push_back(slot);
    } else {
      places.push_back({std::move(where), {slot}});
    }
  };
  std::vector<FileType> types = {FileType::ser, FileType::crl, FileType::cnm, FileType::crt};
  if (server.archive_password)
    types.insert(types.begin(), server.archive_format == config::ArchiveFormat::pkcs12
                                    ? FileType::p12
                                    : FileType::pem);
  // The main place first, whatever it is left with.
  std::stable_partition(types.begin(), types.end(),
                        [&](FileType type) { return !server.database_of.contains(type); });
  for (const FileType type : types) {
    const auto own = server.database_of.find(type);
    add(own == server.database_of.end() ? server.database : own->second, {type, false});
  }
  for (const auto& [type, where] : server.database_copies) add(where, {type, true});
  return places;
}

std::vector<Slot> slots_of_certificate(const config::Server& server) {
  std::vector<Slot> slots;
  const auto places = places_of(server);
  const auto add = [&](FileType type) {
    slots.push_back({type, false});
    const Slot copy{type, true};
    if (std::any_of(places.begin(), places.end(), [&](const auto& p) { return p.has(copy); }))
      slots.push_back(copy);
  };
  if (server.database_level != config::DatabaseLevel::minimum) add(FileType::cnm);
  if (server.database_level == config::DatabaseLevel::complete) add(FileType::crt);
  return slots;
}

std::string ser_name(const std::string& server) { return server + ".ser"; }
std::string crl_name(const std::string& server) { return server + ".crl"; }

std::string archive_name(const std::string& server, std::uint32_t generation,
                         config::ArchiveFormat format) {
  return server + (generation <= 1 ? "" : fmt::format("_{:05}", generation - 1)) +
         (format == config::ArchiveFormat::pkcs12 ? ".p12" : ".pem");
}

std::string certificate_file_name(const x509::Serial& serial, FileType type) {
  std::string digits = serial.to_hex();
  for (char& c : digits) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c + ('a' - 'A'));
  }
  return fmt::format("{}.{}", digits, suffix_of(type));
}

std::string shown_name(const config::FilePlace& place, const std::string& name) {
  const bool joined = place.url.ends_with('/') || place.url.ends_with(':');
  return place.url + (joined ? "" : "/") + name;
}

std::string ser_text(const x509::Serial& last) {
  return fmt::format("db_version = 1\nlast_serial = 0x{}", last.to_hex());
}

std::string cnm_text(const std::string& subject, Time not_after) {
  return fmt::format("subjectname_str = {}, expiration = {}\n", subject,
                     to_ios_time(not_after, TimeZone{}));
}

Result<x509::Serial> parse_ser(std::string_view text) {
  constexpr std::string_view key = "last_serial";
  const std::size_t at = text.find(key);
  const std::size_t equals = at == std::string_view::npos ? at : text.find('=', at);
  if (equals == std::string_view::npos)
    return fail(Errc::malformed, "no `last_serial = 0xN` in it");
  std::string_view value = trimmed(text.substr(equals + 1));
  value = value.substr(0, value.find_first_of(" \t\r\n"));
  if (value.empty()) return fail(Errc::malformed, "no number behind last_serial");
  return x509::Serial::from_hex(value);
}

Result<CnmFacts> parse_cnm(std::string_view text) {
  constexpr std::string_view key = "subjectname_str";
  constexpr std::string_view end_key = "expiration";
  const std::size_t at = text.find(key);
  const std::size_t equals = at == std::string_view::npos ? at : text.find('=', at);
  if (equals == std::string_view::npos)
    return fail(Errc::malformed, "no `subjectname_str = NAME` in it");
  // The last one: a subject is whatever its owner asked for.
  const std::size_t expiration = text.rfind(end_key);
  const bool dated = expiration != std::string_view::npos && expiration > equals;
  CnmFacts facts;
  std::string_view subject =
      trimmed(text.substr(equals + 1, dated ? expiration - equals - 1 : std::string_view::npos));
  while (subject.ends_with(',')) subject = trimmed(subject.substr(0, subject.size() - 1));
  if (subject.size() >= 2 && subject.starts_with('"') && subject.ends_with('"'))
    subject = subject.substr(1, subject.size() - 2);
  facts.subject = subject;
  if (!dated) return facts;
  const std::size_t value = text.find('=', expiration);
  if (value == std::string_view::npos) return facts;
  std::string_view when = trimmed(text.substr(value + 1));
  if (when.size() >= 2 && when.starts_with('"') && when.ends_with('"'))
    when = when.substr(1, when.size() - 2);
  if (const auto rfc = from_rfc3339(when)) {
    facts.not_after = *rfc;
  } else {
    facts.not_after = parse_ios_time(when);
  }
  return facts;
}

std::string files(std::uint64_t count) {
  return count == 1 ? "1 file" : fmt::format("{} files", count);
}

Time next_try(const PlaceFate& fate, Seconds most) {
  Seconds wait = first_wait;
  for (std::uint32_t i = 1; i < fate.failures && wait < most; ++i) wait *= 2;
  return fate.last_try + std::min(wait, most);
}

std::uint64_t backlog_step(std::uint64_t waiting) {
  std::uint64_t step = 0;
  for (std::uint64_t next = 100; next <= waiting && next < waiting * 2 + 1; next *= 10) step = next;
  return step;
}

}  // namespace umbra::server
