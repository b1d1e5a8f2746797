#include "audit/chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "x509/algorithm.h"

namespace umbra::audit {
namespace {

constexpr std::size_t hash_digits = 64;

void append_quoted(std::string& out, std::string_view value) {
  out += '"';
  for (const char c : value) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet < 0x20 || octet >= 0x7F || c == '"' || c == '\\') {
      fmt::format_to(std::back_inserter(out), "\\x{:02X}", octet);
    } else {
      out += c;
    }
  }
  out += '"';
}

/// The word up to the next blank, taken off.
std::string_view word(std::string_view& rest) {
  const std::size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return taken;
}

Result<std::string> unquoted(std::string_view& rest) {
  std::string out;
  if (!rest.starts_with('"')) return fail(Errc::malformed, "a value without quotes");
  for (rest.remove_prefix(1); !rest.empty(); rest.remove_prefix(1)) {
    const char c = rest.front();
    if (c == '"') {
      rest.remove_prefix(1);
      if (rest.starts_with(' ')) rest.remove_prefix(1);
      return out;
    }
    if (c != '\\') {
      out += c;
      continue;
    }
    const auto octet = rest.size() >= 4 && rest[1] == 'x' ? from_hex(rest.substr(2, 2))
                                                          : fail(Errc::malformed, "");
    if (!octet) break;
    out += static_cast<char>(octet->front());
    rest.remove_prefix(3);
  }
  return fail(Errc::malformed, "a value that does not end");
}

}  // namespace

std::string hash_of(std::string_view before, std::string_view text) {
  std::string all(before);
  all += ' ';
  all += text;
  std::string hex = to_hex(x509::hash(x509::Digest::sha256, as_bytes(all)));
  std::transform(hex.begin(), hex.end(), hex.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return hex;
}

std::string next_line(Head& head, Instant at, const Event& event) {
  std::string text = fmt::format("{} {} {}", head.number + 1, to_rfc3339(to_time(at)), event.name);
  for (const auto& [key, value] : event.fields) {
    text += ' ';
    text += key;
    text += '=';
    append_quoted(text, value);
  }
  ++head.number;
  head.hash = hash_of(head.hash, text);
  return text + ' ' + head.hash + '\n';
}

const std::string* Line::find(std::string_view key) const {
  for (const auto& [name, value] : event.fields) {
    if (name == key) return &value;
  }
  return nullptr;
}

Result<Line> parse(std::string_view line) {
  Line out;
  if (line.size() < hash_digits + 2 || line[line.size() - hash_digits - 1] != ' ')
    return fail(Errc::malformed, "it does not end with a hash");
  out.hash = line.substr(line.size() - hash_digits);
  if (out.hash.find_first_not_of("0123456789abcdef") != std::string::npos)
    return fail(Errc::malformed, "it does not end with a hash");
  out.text = line.substr(0, line.size() - hash_digits - 1);
  std::string_view rest = out.text;
  const std::string_view number = word(rest);
  const auto read = std::from_chars(number.data(), number.data() + number.size(), out.number);
  if (read.ec != std::errc() || read.ptr != number.data() + number.size())
    return fail(Errc::malformed, "it does not begin with its number");
  out.time = word(rest);
  out.event.name = word(rest);
  if (out.time.empty() || out.event.name.empty())
    return fail(Errc::malformed, "it names no time and event");
  while (!rest.empty()) {
    const std::size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return fail(Errc::malformed, "a field without a value");
    std::string key(rest.substr(0, equals));
    rest.remove_prefix(equals + 1);
    UMBRA_TRY(std::string value, unquoted(rest));
    out.event.fields.emplace_back(std::move(key), std::move(value));
  }
  return out;
}

std::string statement(const Head& head) {
  return fmt::format("umbra audit log up to line {} {}", head.number, head.hash);
}

Event signed_event(const Signature& signature) {
  return {"SIGN",
          {{"server", signature.server},
           {"generation", std::to_string(signature.generation)},
           {"signature", to_base64(signature.octets)}}};
}

}  // namespace umbra::audit
