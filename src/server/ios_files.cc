#include "server/ios_files.h"

#include <algorithm>

#include "config/config.h"

namespace umbra::server {

FileName split(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {name, ""};
  std::string suffix = name.substr(dot + 1);
  for (char& c : suffix) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return {name.substr(0, dot), suffix};
}

std::optional<x509::Serial> serial_named(const std::string& stem) {
  const bool prefixed = stem.starts_with("0x") || stem.starts_with("0X");
  const std::string digits = prefixed ? stem.substr(2) : stem;
  constexpr std::size_t digits_max = 40;
  const bool hex =
      !digits.empty() && digits.size() <= digits_max &&
      std::all_of(digits.begin(), digits.end(), [](unsigned char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      });
  if (!hex) return std::nullopt;
  const auto serial = x509::Serial::from_hex(digits);
  if (!serial) return std::nullopt;
  return *serial;
}

std::pair<std::string, std::uint32_t> archive_of(const std::string& stem) {
  constexpr std::size_t tail = 6;
  if (stem.size() <= tail || stem[stem.size() - tail] != '_') return {stem, 1};
  const std::string digits = stem.substr(stem.size() - tail + 1);
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return {stem, 1};
  return {stem.substr(0, stem.size() - tail), static_cast<std::uint32_t>(std::stoul(digits)) + 1};
}

bool is_written_to(const PublicationPlace& place, const config::Server& server,
                   const std::string& name) {
  using config::FileType;
  const std::string stem = split(name).stem;
  return std::any_of(place.slots.begin(), place.slots.end(), [&](Slot slot) {
    switch (slot.type) {
      case FileType::ser:
        return name == ser_name(server.name);
      case FileType::crl:
        return name == crl_name(server.name);
      case FileType::p12:
      case FileType::pem:
        return name == archive_name(server.name, 1, server.archive_format) ||
               name == archive_name(server.name, archive_of(stem).second, server.archive_format);
      case FileType::cnm:
      case FileType::crt: {
        const auto serial = serial_named(stem);
        return serial && name == certificate_file_name(*serial, slot.type);
      }
    }
    return false;
  });
}

bool is_archive(const FileName& name) {
  return name.suffix == "p12" || name.suffix == "pfx" || name.suffix == "pem";
}
bool is_certificate(const FileName& name) {
  return name.suffix == "crt" || name.suffix == "cer" || name.suffix == "der";
}

Result<x509::Certificate> certificate_in(const Bytes& content) {
  if (as_text(content).find("-----BEGIN CERTIFICATE-----") != std::string_view::npos)
    return x509::Certificate::from_pem(as_text(content));
  return x509::Certificate::from_der(content);
}

std::set<std::string> servers_in(const std::vector<PublishedFile>& files) {
  std::set<std::string> names;
  for (const auto& one : files) {
    const FileName name = split(one.name);
    if (name.suffix == "ser" || name.suffix == "crl") names.insert(name.stem);
    if (is_archive(name)) names.insert(archive_of(name.stem).first);
  }
  std::erase_if(names, [](const std::string& name) { return !config::is_block_name(name); });
  return names;
}

std::string why_ignored(const PublishedFile& file, bool of_several) {
  const FileName name = split(file.name);
  if (is_certificate(name)) {
    const auto certificate = certificate_in(file.content);
    return certificate ? "issued by another CA" : "no certificate: " + certificate.error().detail;
  }
  if (name.suffix == "cnm") {
    return of_several ? "of which server it is cannot be told; import one by one, with --name"
                      : "no name file that can be read";
  }
  if (name.suffix != "ser" && name.suffix != "crl" && !is_archive(name))
    return "no file of a certificate server";
  return config::is_block_name(is_archive(name) ? archive_of(name.stem).first : name.stem)
             ? "another server's"
             : "no certificate server can be called so";
}

}  // namespace umbra::server
