// Passwords as IOS obscures them. Type 7: what is decoded is encoded to the same text, what is
// encoded is decoded to the same password, and the configuration takes exactly what decodes. Type
// 6 is sealed with a key that only the router has: never taken, least of all for the password
// itself. And no line shows a password when secrets are taken out of it.

#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "config/config.h"
#include "config/document.h"
#include "config/grammar.h"

using namespace umbra;

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

bool printable(char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; }

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

void decode(std::string_view text) {
  constexpr unsigned salts = 16;
  const auto plain = config::decode_type7(text);
  if (plain) {
    must(!plain->empty() && std::all_of(plain->begin(), plain->end(), printable));
    const auto salt = static_cast<unsigned>((text[0] - '0') * 10 + (text[1] - '0'));
    const std::string again = config::encode_type7(*plain, salt);
    must(config::decode_type7(again).value_or("") == *plain);
    must(salt >= salts || again == upper(text));
  }
  const auto words = config::tokenize(text);
  if (words.size() != 1 || words[0].text != text ||
      !std::all_of(text.begin(), text.end(), printable))
    return;
  const auto parsed =
      config::parse("crypto pki trustpoint T\n password 7 " + std::string(text) + "\n");
  must(parsed.faults.empty() == plain.has_value());
  if (plain) must(parsed.configuration.trustpoints.at(0).password == *plain);
}

void encode(std::string_view plain, unsigned salt) {
  constexpr std::size_t longest = 511;
  const auto back = config::decode_type7(config::encode_type7(plain, salt));
  const bool fits = !plain.empty() && plain.size() <= longest &&
                    std::all_of(plain.begin(), plain.end(), printable);
  must(back.has_value() == fits);
  if (fits) must(*back == plain);
}

void configure(std::string_view password) {
  // Nothing behind the 6: it is the password.
  if (password.find_first_of("\r\n") != std::string_view::npos ||
      config::tokenize(password).empty())
    return;
  const std::string line = " password 6 " + std::string(password);
  const auto parsed = config::parse("crypto pki trustpoint T\n" + line + "\n");
  must(!parsed.faults.empty());
  constexpr std::string_view kept = " password ";
  for (const std::string& said : {line, std::string(kept) + std::string(password)}) {
    const std::string shown = config::hide_secrets(said);
    must(shown.starts_with(kept));
    // The type, blanks and asterisks.
    must(shown.find_first_not_of("07* \t", kept.size()) == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text = as_text({data + 1, size - 1});
  decode(text);
  encode(text, data[0]);
  configure(text);
  return 0;
}
