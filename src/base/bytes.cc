#include "base/bytes.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "base/assert.h"

namespace umbra {

void ensure_failed(const char* condition, const char* text, const char* file, int line) {
  std::fprintf(stderr, "umbra: broken invariant: %s (%s) at %s:%d\n", text, condition, file, line);
  std::fflush(stderr);
  std::abort();
}

bool equal(ByteView a, ByteView b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

bool equal_constant_time(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  volatile std::uint8_t difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<std::uint8_t>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

void wipe(std::span<std::uint8_t> secret) {
  volatile std::uint8_t* p = secret.data();
  for (std::size_t i = 0; i < secret.size(); ++i) p[i] = 0;
}

void wipe(std::string& secret) {
  wipe(std::span<std::uint8_t>(reinterpret_cast<std::uint8_t*>(secret.data()), secret.size()));
  secret.clear();
}

namespace {

constexpr std::string_view hex_digits = "0123456789ABCDEF";
constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::array<std::int16_t, 256> make_base64_values() {
  std::array<std::int16_t, 256> values{};
  for (auto& v : values) v = -1;
  for (std::size_t i = 0; i < base64_digits.size(); ++i) {
    values[static_cast<std::uint8_t>(base64_digits[i])] = static_cast<std::int16_t>(i);
  }
  values[static_cast<std::uint8_t>('-')] = 62;
  values[static_cast<std::uint8_t>('_')] = 63;
  return values;
}
constexpr auto base64_values = make_base64_values();

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

std::string to_hex(ByteView bytes) {
  std::string out(bytes.size() * 2, '\0');
  char* at = out.data();
  for (const std::uint8_t b : bytes) {
    *at++ = hex_digits[b >> 4];
    *at++ = hex_digits[b & 15];
  }
  return out;
}

std::string to_hex_groups(ByteView bytes, std::size_t group) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += group) {
    out += to_hex(bytes.subspan(i, std::min(group, bytes.size() - i)));
    out += ' ';
  }
  return out;
}

Result<Bytes> from_hex(std::string_view text) {
  Bytes out;
  out.reserve(text.size() / 2);
  int high = -1;
  for (const char c : text) {
    if (is_blank(c)) continue;
    const int value = hex_value(c);
    if (value < 0) return fail(Errc::malformed, "not a hexadecimal digit");
    if (high < 0) {
      high = value;
    } else {
      out.push_back(static_cast<std::uint8_t>(high << 4 | value));
      high = -1;
    }
  }
  if (high >= 0) return fail(Errc::malformed, "an odd number of hexadecimal digits");
  return out;
}

std::string to_base64(ByteView bytes, std::size_t line) {
  std::string flat((bytes.size() + 2) / 3 * 4, '=');
  char* at = flat.data();
  std::size_t i = 0;
  for (; i + 2 < bytes.size(); i += 3) {
    const std::uint32_t word = static_cast<std::uint32_t>(bytes[i]) << 16 |
                               static_cast<std::uint32_t>(bytes[i + 1]) << 8 |
                               static_cast<std::uint32_t>(bytes[i + 2]);
    *at++ = base64_digits[word >> 18 & 63];
    *at++ = base64_digits[word >> 12 & 63];
    *at++ = base64_digits[word >> 6 & 63];
    *at++ = base64_digits[word & 63];
  }
  if (const std::size_t left = bytes.size() - i; left > 0) {  // what is missing stays padding
    const std::uint32_t word = static_cast<std::uint32_t>(bytes[i]) << 16 |
                               (left > 1 ? static_cast<std::uint32_t>(bytes[i + 1]) << 8 : 0U);
    *at++ = base64_digits[word >> 18 & 63];
    *at++ = base64_digits[word >> 12 & 63];
    if (left > 1) *at = base64_digits[word >> 6 & 63];
  }
  if (line == 0) return flat;
  std::string out;
  out.reserve(flat.size() + flat.size() / line + 1);
  for (std::size_t from = 0; from < flat.size(); from += line)
    out.append(flat, from, line).push_back('\n');
  return out;
}

Result<Bytes> from_base64(std::string_view text) {
  Bytes out;
  out.reserve(text.size() / 4 * 3);
  std::uint32_t word = 0;
  int digits = 0;
  int padding = 0;
  for (const char c : text) {
    if (is_blank(c)) continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const int value = base64_values[static_cast<std::uint8_t>(c)];
    if (value < 0) return fail(Errc::malformed, "not a base64 character");
    if (padding > 0) return fail(Errc::malformed, "base64 goes on after its padding");
    word = word << 6 | static_cast<std::uint32_t>(value);
    if (++digits == 4) {
      out.push_back(static_cast<std::uint8_t>(word >> 16));
      out.push_back(static_cast<std::uint8_t>(word >> 8));
      out.push_back(static_cast<std::uint8_t>(word));
      word = 0;
      digits = 0;
    }
  }
  if (digits == 1 || padding > 2 || (padding > 0 && digits + padding != 4)) {
    return fail(Errc::malformed, "base64 of a length no encoder makes");
  }
  if (digits == 2) out.push_back(static_cast<std::uint8_t>(word >> 4));
  if (digits == 3) {
    out.push_back(static_cast<std::uint8_t>(word >> 10));
    out.push_back(static_cast<std::uint8_t>(word >> 2));
  }
  return out;
}

}  // namespace umbra
