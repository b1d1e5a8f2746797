#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "config/settings.h"

namespace umbra::config::set {
namespace {

constexpr std::array networks = {"ftp", "http", "https", "scp", "sftp", "tftp"};
constexpr std::array elsewhere = {"cns",  "file", "ldap",   "ldaps",
                                  "null", "rcp",  "system", "xmodem"};
constexpr std::string_view places_there_are =
    "expected: a device such as nvram: or flash:/DIR, unix:/DIR, or ftp, sftp, scp, tftp, http or "
    "https://HOST/DIR";

/// Host and account of a URL with `//`; empty without.
std::string_view authority(std::string_view url) {
  const std::size_t from = url.find("//");
  if (from == std::string_view::npos) return "";
  const std::string_view rest = url.substr(from + 2);
  return rest.substr(0, rest.find('/'));
}

/// Why files cannot be kept there; nothing if they can.
std::optional<std::string> why_no_place(std::string_view url) {
  const std::size_t colon = url.find(':');
  const std::string scheme = lower(url.substr(0, colon));
  const std::string_view rest = url.substr(colon + 1);
  if (url.find_first_of("?#\"\\") != std::string_view::npos)
    return "a character that is no part of a directory's name";
  // Up and out of the data directory, or of the account's.
  if (("/" + std::string(rest) + "/").find("/../") != std::string::npos)
    return "a directory above the one that is named";
  if (std::find(networks.begin(), networks.end(), scheme) != networks.end()) {
    if (authority(url).empty() || !rest.starts_with("//"))
      return fmt::format("{}: without a host", scheme);
    return std::nullopt;
  }
  if (scheme == "unix") {
    if (rest.starts_with("/")) return std::nullopt;
    return "unix: without an absolute path";
  }
  const bool device = !rest.starts_with("//") && scheme.find_first_of("+.") == std::string::npos &&
                      std::find(elsewhere.begin(), elsewhere.end(), scheme) == elsewhere.end();
  if (device) return std::nullopt;
  return fmt::format("files cannot be kept on {}:", scheme);
}

std::optional<FilePlace> place(Setting& s) {
  FilePlace made;
  made.url = s.text("URL");
  made.username = s.text("USER");
  if (s.has("password")) made.password = s.secret();
  if (authority(made.url).find('@') != std::string_view::npos) {
    // It would be shown wherever the URL is.
    s.fault("URL", "an account inside a URL",
            "expected: URL username USER password PASSWORD, in this order");
    return std::nullopt;
  }
  if (const auto why = why_no_place(made.url)) {
    s.fault("URL", *why, std::string(places_there_are));
    return std::nullopt;
  }
  return made;
}

FileType file_type(const Setting& s) {
  return s.has("cnm")   ? FileType::cnm
         : s.has("crl") ? FileType::crl
         : s.has("crt") ? FileType::crt
         : s.has("p12") ? FileType::p12
         : s.has("pem") ? FileType::pem
                        : FileType::ser;
}

}  // namespace

void database_level(Setting& s) {
  s.server().database_level = s.has("complete") ? DatabaseLevel::complete
                              : s.has("names")  ? DatabaseLevel::names
                                                : DatabaseLevel::minimum;
}

void database_archive(Setting& s) {
  s.server().archive_format = s.has("pem") ? ArchiveFormat::pem : ArchiveFormat::pkcs12;
  if (s.has("password")) s.server().archive_password = s.secret();
}

void database_url(Setting& s) {
  if (auto made = place(s)) s.server().database = *std::move(made);
}

void database_url_of(Setting& s) {
  const FileType type = file_type(s);
  if (!s.has("publish")) {
    if (auto made = place(s)) s.server().database_of[type] = *std::move(made);
    return;
  }
  if (type != FileType::cnm && type != FileType::crl && type != FileType::crt) {
    s.fault("URL", "a copy for readers of what no reader needs",
            "expected: publish for cnm, crl or crt; without it the files are kept there");
    return;
  }
  if (auto made = place(s)) s.server().database_copies[type] = *std::move(made);
}

void database_username(Setting& s) {
  s.server().database_username = s.text("USER");
  if (s.has("password")) s.server().database_password = s.secret();
}

void database_strict(Setting& s) { s.server().database_strict = true; }

}  // namespace umbra::config::set
