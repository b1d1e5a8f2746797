#include "x509/alt_name.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "x509/der.h"
#include "x509/extensions.h"

namespace umbra::x509 {
namespace {

constexpr std::size_t name_octets_max = 253;  // RFC 1035: of a whole DNS name
constexpr std::size_t label_octets_max = 63;
constexpr std::size_t uri_octets_max = 1024;

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

/// In network order; empty if it is none.
Bytes address_octets(const std::string& text) {
  std::array<std::uint8_t, 16> out{};
  if (::inet_pton(AF_INET, text.c_str(), out.data()) == 1) return {out.begin(), out.begin() + 4};
  if (::inet_pton(AF_INET6, text.c_str(), out.data()) == 1) return {out.begin(), out.end()};
  return {};
}

bool is_dns_name(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.empty() || name.size() > name_octets_max) return false;
  while (true) {
    const std::string_view label = name.substr(0, name.find('.'));
    const bool good = !label.empty() && label.size() <= label_octets_max && label.front() != '-' &&
                      label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
                        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                               (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
                      });
    if (!good) return false;
    // The last label of a name is never a number (RFC 1123 2.1): this is an address gone wrong.
    if (label.size() == name.size())
      return label.find_first_not_of("0123456789") != std::string_view::npos;
    name.remove_prefix(label.size() + 1);
  }
}

bool is_mailbox(std::string_view text) {
  const std::size_t at = text.rfind('@');
  return at != std::string_view::npos && at > 0 && is_visible(text) &&
         is_dns_name(text.substr(at + 1));
}

bool is_uri(std::string_view text) {
  const std::size_t colon = text.find(':');
  return colon != std::string_view::npos && colon > 0 && colon + 1 < text.size() &&
         text.size() <= uri_octets_max && is_visible(text);
}

}  // namespace

Result<AltName> parse_alt_name(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, AltNameKind>, 4> words = {
      {{"dns:", AltNameKind::dns},
       {"ip:", AltNameKind::ip},
       {"email:", AltNameKind::email},
       {"uri:", AltNameKind::uri}}};
  AltName name{AltNameKind::dns, std::string(text)};
  const auto* const word = std::find_if(words.begin(), words.end(),
                                        [&](const auto& w) { return text.starts_with(w.first); });
  const auto* const bare = std::find_if(words.begin(), words.end(), [&](const auto& w) {
    return w.first.substr(0, w.first.size() - 1) == text;
  });
  if (bare != words.end()) {
    return fail(Errc::malformed, fmt::format("\"{0}\" is a kind of name, and goes before one with "
                                             "a colon: {0}:NAME",
                                             text));
  }
  if (word != words.end()) {
    name = {word->second, std::string(text.substr(word->first.size()))};
  } else if (!address_octets(name.text).empty()) {
    name.kind = AltNameKind::ip;
  }
  switch (name.kind) {
    case AltNameKind::dns:
      if (is_dns_name(name.text)) return name;
      return fail(Errc::malformed, "\"" + name.text + "\" is no DNS name");
    case AltNameKind::ip:
      if (!address_octets(name.text).empty()) return name;
      return fail(Errc::malformed, "\"" + name.text + "\" is no IP address");
    case AltNameKind::email:
      if (is_mailbox(name.text)) return name;
      return fail(Errc::malformed, "\"" + name.text + "\" is no e-mail address");
    case AltNameKind::uri:
      if (is_uri(name.text)) return name;
      return fail(Errc::malformed, "\"" + name.text + "\" is no URI");
  }
  return name;
}

Extension subject_alt_names(const std::vector<AltName>& names) {
  Bytes all;
  const auto add = [&all](std::uint8_t tag, ByteView value) {
    const Bytes one = der::tlv(der::context_primitive(tag), value);
    all.insert(all.end(), one.begin(), one.end());
  };
  for (const AltName& name : names) {
    switch (name.kind) {  // the tags of GeneralName
      case AltNameKind::email:
        add(1, as_bytes(name.text));
        break;
      case AltNameKind::dns:
        add(2, as_bytes(name.text));
        break;
      case AltNameKind::uri:
        add(6, as_bytes(name.text));
        break;
      case AltNameKind::ip:
        add(7, address_octets(name.text));
        break;
    }
  }
  return {std::string(oid_subject_alt_name), false, der::tlv(der::tag::sequence, all)};
}

std::vector<AltName> alt_names_of(const Certificate& certificate) {
  std::vector<AltName> names;
  for (const Extension& extension : certificate.extensions()) {
    if (extension.oid != oid_subject_alt_name) continue;
    const auto all = der::parse_one(extension.value, der::tag::sequence, "GeneralNames");
    if (!all) continue;
    for (der::Reader each(all->content); !each.empty();) {
      const auto one = each.next();
      if (!one) break;
      const std::string text(as_text(one->content));
      std::array<char, INET6_ADDRSTRLEN> address{};
      if (one->tag == der::context_primitive(1)) {
        names.push_back({AltNameKind::email, text});
      } else if (one->tag == der::context_primitive(2)) {
        names.push_back({AltNameKind::dns, text});
      } else if (one->tag == der::context_primitive(6)) {
        names.push_back({AltNameKind::uri, text});
      } else if (one->tag == der::context_primitive(7) &&
                 (one->content.size() == 4 || one->content.size() == 16) &&
                 ::inet_ntop(one->content.size() == 4 ? AF_INET : AF_INET6, one->content.data(),
                             address.data(), address.size()) != nullptr) {
        names.push_back({AltNameKind::ip, address.data()});
      }
    }
  }
  return names;
}

}  // namespace umbra::x509
