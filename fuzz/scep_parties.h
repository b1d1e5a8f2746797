#pragma once

#include <cstdlib>

#include "scep/ca_messages.h"
#include "scep/message.h"

/// The two ends of the conversations that the SCEP targets take part in. The key is in the source,
/// so that what the fuzzer has found once can be found again.
namespace umbra::fuzz {

inline void must(bool condition) {
  if (!condition) std::abort();
}

inline constexpr const char* key_pem = R"(
-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDA3AJX6/SPFW8J
wpBHpZ0zpuH0p34zAXiM4snEN8lSxuUFOUnbQXLPET4MXh/VXq3KY7nnWZu/wzMG
ihdfn/iNik+bYkGJx2hlipHRl4awHPHewKlrztTxvihHUzNWowkuRgqtX81nPOo2
RLb+zZJmsxFz5MarZviQ5hd3O35muGk/GmF0Y5o1MP2Kmr7623RbkZjANwF/cUwU
npPHa6q7/URfngnQJz3fw8eN35R2Lp2T5u81Cj9M9JOkncMJKfGSTBXlVDa1m3XQ
b2mwOhJUa5G4AwbwI8UfCnxY4MeviWv+rcgUKIU8wz8DkXs3Yd7cQMO1G0gpRinJ
QrXIkcCLAgMBAAECggEAFkXydqwCBmUFJL1Ag33ILixyVm/iSSASMkHePS1CMNoB
SNKpHyDWZ71dNfly4hC5Woac9EVAPGvd9eiMiCyF/KFszeG8TEi9hlNJbEl8h9S3
8bASK6jApXCpid89LnQi0yIfXo7naSplqZcoWTzC+928wMPlq+r2/xO2bGdFvbVl
jHTestkbIxh09Ii7y+glsOfEky7/VCdj71e6KXnwt6AF1tK6VAjGq3T9gKLzkG+N
bzgRhIC4zWC1lIfvw3Y2wTtE0UIKNCa6cZVUT3ABH6T1QZGmj/Ae1CQVe++kQk9y
4G+dRFslsXTY03wNntcEisJDdnx3anYMrPHRfWGi0QKBgQDhr9vB2PuuuMcl1Fck
ArqRRrUyaPExy84jiDGJ+1PaTX5D4SwD782Dgb8g1iPjTleED5zJo8kJ6SOTtMYz
MbNcOSCn74lLv0z5K7o/qPZOWuVd8gzozVWbFOfIqy+r+qcX054BRe1aMCOvGrtr
Yb/RLx87wDI95XRuZLgiV/ttuwKBgQDaw2Qa86xmhuU3MzMVO/2LXwqnPMlzH48Q
iDK+i69ikSO58z6z7QTwNgoqbl4AWxVpWLhRH4546frxC/LEoaKDFIUE5k0KoAyX
S+ywJlZa01RrFBcAHAdn91U9h1rdTg+g1O0ePpUc5vXKLNjMRt+DfqRvZ3FWppmq
eF9+T4VjcQKBgGQ4gv9HSyTg21b6P6Q3LgB7hNWY8prpZWY0AcPDfw4vYYXlRXWO
FRZ0FJsRXSiAzq5PfJGykQE8rdbW7TkotfybRdwtrCueDSGNgIzqjE5pYPfiGEd9
f6l5lCBxnJ7jlTYofD8WfXuSaxZEabwa0WKkaVtQUz9XWOf5BCgEKBwnAoGAP+Ld
4i0VRN/SIru2CFZ7pe78inhrEE7AFgDgaNscPfnK6CwMPLlUPt5ZO6j9lLcE2r4J
Hc/MaK1UFn75x8i4T/V3H0Yua5Lv+mM23P5lK6MZvSehy+tjkk4du5lCxOxeDgcA
tFtsaoNcdk2Ahq+P6LPcS5h29eozaCA9KwMIHlECgYEAtedIoAYjloF2CqL3nE4n
ln/Pl5tz/oTu82MLzcyRBb3t8/+0CPb7XFCnmbJOTG9BGerhaC4pX8aT0H68Qu0G
bRnvSc8IaUPv2SFeBiQelTig/NdwP88n1+aIWef3wKvCTdL5ENzp8QXskDaPJ2up
9Vcp1WpTXLuXTLm1gDeVGX8=
-----END PRIVATE KEY-----
)";

class CountingRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (auto& octet : out) octet = next_++;
  }

 private:
  std::uint8_t next_ = 0;
};

struct Party {
  x509::PrivateKey key;
  x509::Certificate certificate;
};

inline Party make_party(const char* name, std::uint64_t serial) {
  const auto key = x509::PrivateKey::from_pem(std::string_view(key_pem).substr(1)).value();
  const auto subject = x509::Name::from_ios(name).value();
  const Time start = *from_rfc3339("2026-01-01T00:00:00Z");
  const auto certificate = x509::sign_certificate({.serial = x509::Serial(serial),
                                                   .issuer = subject,
                                                   .subject = subject,
                                                   .not_before = start,
                                                   .not_after = start + Days{730},
                                                   .spki = to_bytes(key.public_key().spki()),
                                                   .extensions = {x509::basic_constraints_ca()}},
                                                  key, x509::Digest::sha256)
                               .value();
  return {key, certificate};
}

inline const Party& ca() {
  static const Party made = make_party("CN=RootCA", 1);
  return made;
}
inline const Party& device() {
  static const Party made = make_party("CN=spoke", 1);
  return made;
}

inline scep::RequestContext context(scep::MessageType type) {
  return {.type = type,
          .transaction_id = "T",
          .sender_nonce = scep::Nonce(16, 7),
          .recipient = ca().certificate,
          .signer = device().certificate,
          .cipher = scep::Cipher::aes128_cbc,
          .digest = x509::Digest::sha256};
}

}  // namespace umbra::fuzz
